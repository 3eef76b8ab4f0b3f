//! A fit's parameters as CSV.

use super::json::check_finite;
use crate::error::{Error, Result};
use crate::fit::result::FitResult;

/// The parameters, a row each, `name,n,l,value,sigma,unit,free`; what there is not is left empty.
///
/// # Errors
/// A number that is not finite, by its key.
pub fn write_csv(result: &FitResult) -> Result<Vec<u8>> {
    check_finite(result)?;
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let header = ["name", "n", "l", "value", "sigma", "unit", "free"];
    writer.write_record(header).map_err(Error::unbuilt)?;
    for p in &result.parameters {
        let row = (&p.name, p.n, p.l, p.value, p.sigma, &p.unit, p.free);
        writer.serialize(row).map_err(Error::unbuilt)?;
    }
    writer.into_inner().map_err(Error::unbuilt)
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn a_parameter_is_a_row() {
        let csv = String::from_utf8(write_csv(&tests::result()).unwrap()).unwrap();
        let expected = "name,n,l,value,sigma,unit,free\n\
            z3,2,-2,0.3333333333333333,0.01,rad,true\n\
            gain[0],,,1.01,0.02,,true\n\
            sigma,,,0.72,,R,false\n";
        assert_eq!(csv, expected);
    }
}
