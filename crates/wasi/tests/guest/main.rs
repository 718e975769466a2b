//! WASI from a guest's side: whole modules, compiled and run by the engine.

mod calls;
mod files;
mod guest;
