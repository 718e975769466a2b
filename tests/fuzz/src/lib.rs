//! Runs random modules on wasmprof and on other engines, and compares.
//!
//! A [`Case`] is a module with everything that is chosen at random about it.
//! [`check`] runs it with both strategies of wasmprof, on wasmtime and on
//! wasmi, and says where they differ. Making modules is left to `wasm-smith`;
//! which seeds to run, to the test in `tests/seeds.rs` and to `fuzz-many`.

#![deny(unsafe_code)]

mod case;
mod check;
mod fuel;
mod guest;
mod host;
mod on_wasmi;
mod on_wasmprof;
mod on_wasmtime;
mod plan;
mod random;
mod rewrite;
mod seeds;

pub use case::{Case, Proposals, Setup};
pub use check::{Checker, Counts, Mismatch};
pub use guest::Trap;
pub use seeds::{Progress, run};
