//! Reads the reference numbers of `testdata/golden`, which `scripts/golden.py` makes with NumPy.

use serde_json::Value;

/// The JSON file `name`.
pub fn read(name: &str) -> Value {
    let path = format!("{}/testdata/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Three numbers.
pub fn triple(value: &Value) -> [f64; 3] {
    numbers(value).try_into().unwrap()
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}
