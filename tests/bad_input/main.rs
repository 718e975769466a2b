//! What the program does with input that is broken, hostile or just very large:
//! it says what is wrong and where, and it neither panics nor takes all memory.
//!
//! What is valid runs, however strange it is. Whether valid programs do what
//! they should is left to the other tests.

mod broken;
mod child;
mod large;
mod linking;
mod wasm;
