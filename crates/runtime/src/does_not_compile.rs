//! Misuse that the compiler of Rust refuses: each example here fails to
//! compile, beside one that differs from it in what is wrong and compiles.
//!
//! # A caller outlives no call
//!
//! ```
//! use wasmprof_engine::*;
//! static KEPT: std::sync::Mutex<Option<u32>> = std::sync::Mutex::new(None);
//! let engine = Engine::new(Config::new())?;
//! let mut store = Store::new(&engine, 3u32);
//! Func::wrap(&mut store, |caller: Caller<'_, u32>| {
//!     *KEPT.lock().unwrap() = Some(*caller.data());
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! static KEPT: std::sync::Mutex<Option<&u32>> = std::sync::Mutex::new(None);
//! let engine = Engine::new(Config::new())?;
//! let mut store = Store::new(&engine, 3u32);
//! Func::wrap(&mut store, |caller: Caller<'_, u32>| {
//!     *KEPT.lock().unwrap() = Some(caller.data());
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! thread_local! {
//!     static KEPT: std::cell::RefCell<Option<Caller<'static, u32>>> = Default::default();
//! }
//! let engine = Engine::new(Config::new())?;
//! let mut store = Store::new(&engine, 3u32);
//! Func::wrap(&mut store, |caller: Caller<'_, u32>| {
//!     KEPT.set(Some(caller));
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! # The contents of a memory are not kept across a call
//!
//! ```
//! use wasmprof_engine::*;
//! fn first_byte(memory: Memory, store: &mut Store<()>, f: TypedFunc<(), ()>) -> Result<u8, Error> {
//!     f.call(&mut *store, ())?;
//!     let bytes = memory.data(&*store);
//!     Ok(bytes[0])
//! }
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! fn first_byte(memory: Memory, store: &mut Store<()>, f: TypedFunc<(), ()>) -> Result<u8, Error> {
//!     let bytes = memory.data(&*store);
//!     f.call(&mut *store, ())?;
//!     Ok(bytes[0])
//! }
//! ```
//!
//! # Data of a store keeps its type
//!
//! A host function of a store takes its data for exactly the type that it had
//! when the function was made: neither a store nor a linker may become one of a
//! type that is a little longer- or shorter-lived.
//!
//! ```
//! use wasmprof_engine::*;
//! fn same<'a>(store: Store<&'a str>, linker: Linker<&'a str>) -> (Store<&'a str>, Linker<&'a str>) {
//!     (store, linker)
//! }
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! fn shorter<'a>(store: Store<&'static str>) -> Store<&'a str> {
//!     store
//! }
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! fn shorter<'a>(linker: Linker<&'static str>) -> Linker<&'a str> {
//!     linker
//! }
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! fn longer<'a>(linker: Linker<&'a str>) -> Linker<&'static str> {
//!     linker
//! }
//! ```
//!
//! # A linker is for stores of its type of data
//!
//! ```
//! use wasmprof_engine::*;
//! fn link(linker: &Linker<u32>, store: &mut Store<u32>, module: &Module) {
//!     let _ = linker.instantiate(store, module);
//! }
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! fn link(linker: &Linker<u32>, store: &mut Store<i32>, module: &Module) {
//!     let _ = linker.instantiate(store, module);
//! }
//! ```
//!
//! # A store whose data stays on its thread stays there, too
//!
//! ```
//! use wasmprof_engine::*;
//! fn sends<T: Send>(_: T) {}
//! fn send(store: Store<std::sync::Arc<u32>>) {
//!     sends(store);
//! }
//! ```
//!
//! ```compile_fail
//! use wasmprof_engine::*;
//! fn sends<T: Send>(_: T) {}
//! fn send(store: Store<std::rc::Rc<u32>>) {
//!     sends(store);
//! }
//! ```
