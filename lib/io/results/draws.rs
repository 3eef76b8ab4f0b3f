//! The draws from a fit's posterior as a table: CSV or `.npy`.

use crate::error::{Error, Result};
use crate::fit::sampling::Posterior;
use ndarray_npy::WriteNpyExt;

/// The draws as CSV, a row each: `chain` (from 0), the free parameters by their names, and what follows
/// from them; SI.
///
/// # Errors
/// A table that cannot be built.
pub fn write_draws_csv(posterior: &Posterior) -> Result<Vec<u8>> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let names = std::iter::once("chain").chain(posterior.names());
    writer.write_record(names).map_err(Error::unbuilt)?;
    for (i, row) in posterior.values.outer_iter().enumerate() {
        writer.write_field(posterior.chain_of(i).to_string()).map_err(Error::unbuilt)?;
        let values = row.iter().map(|value| value.to_string());
        writer.write_record(values).map_err(Error::unbuilt)?;
    }
    writer.into_inner().map_err(Error::unbuilt)
}

/// The same columns but for the chain, as an array `(draw, quantity)`, chain after chain.
///
/// # Errors
/// An array that cannot be built.
pub fn write_draws_npy(posterior: &Posterior) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    posterior.values.write_npy(&mut bytes).map_err(Error::unbuilt)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use ndarray::Array2;
    use ndarray_npy::ReadNpyExt;

    #[test]
    fn a_draw_is_a_row_and_a_quantity_a_column() {
        let posterior = tests::posterior();
        let csv = String::from_utf8(write_draws_csv(&posterior).unwrap()).unwrap();
        let expected = "chain,z3,gain[0],surface_rms_m\n0,0.25,1,0.00002\n0,0.5,2,0.00003\n\
            1,0.75,3,0.00004\n1,1,4,0.00005\n";
        assert_eq!(csv, expected);
        let npy = write_draws_npy(&posterior).unwrap();
        assert_eq!(Array2::<f64>::read_npy(&npy[..]).unwrap(), posterior.values);
    }
}
