//! The examples run, and find what they say they find: each ends in assertions of its own.

// Both bring the small minimiser that they share.
#![allow(clippy::duplicate_mod)]

#[path = "../examples/robust_line.rs"]
mod robust_line;
#[path = "../examples/rosenbrock.rs"]
mod rosenbrock;

#[test]
fn the_banana_valley_is_followed_to_its_end() {
    rosenbrock::main();
}

#[test]
fn a_line_is_found_among_outliers() {
    robust_line::main();
}
