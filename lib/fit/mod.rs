//! From maps to a surface: parameters, likelihood, minimisation, errors.

pub mod result;
