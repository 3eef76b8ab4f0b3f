//! io
pub mod fits;
pub mod power;
pub mod raster;

use serde::{Deserialize, Serialize};
/// The precision of samples in an output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F64,
    F32,
}
