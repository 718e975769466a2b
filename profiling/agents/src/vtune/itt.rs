//! The calls into the ITT library, which loads the collector and passes events on.
//!
//! What to tell and when is decided by the agent; here is all of its unsafe code.

use super::{ITT_VARIABLE, JIT_VARIABLE, Method, is_set};
use ittapi_sys::{
    iJIT_IsProfilingActive, iJIT_JVM_EVENT, iJIT_Method_Load, iJIT_Method_Load_V2,
    iJIT_NotifyEvent, iJIT_jvm_event_iJVM_EVENT_TYPE_METHOD_LOAD_FINISHED_V2 as LOAD,
    iJIT_jvm_event_iJVM_EVENT_TYPE_METHOD_UNLOAD_START as UNLOAD,
    iJIT_jvm_event_iJVM_EVENT_TYPE_SHUTDOWN as SHUTDOWN,
};
use std::ptr::null_mut;
use std::sync::OnceLock;

/// Loads the collector. An error says what the user can do.
pub(super) fn start() -> Result<(), String> {
    if !is_set(JIT_VARIABLE) {
        let also = match is_set(ITT_VARIABLE) {
            true => format!(" (only {ITT_VARIABLE} is, which is not for compiled code)"),
            false => String::new(),
        };
        return Err(format!(
            "VTune is not collecting: {JIT_VARIABLE} is not set{also}; \
             run under VTune: vtune -collect hotspots -- wasmprof run --jit-profile ..."
        ));
    }
    if !is_active() {
        let library = std::env::var_os(JIT_VARIABLE).unwrap_or_default();
        return Err(format!(
            "VTune is not collecting: {}, which {JIT_VARIABLE} names, cannot be loaded, is not a \
             collector, or is not active; run under VTune, or unset the variable",
            library.display()
        ));
    }
    Ok(())
}

/// Whether there is a collector that wants events.
fn is_active() -> bool {
    // The library loads the collector at the first call and has no lock, so
    // there is one call in this process, before any event.
    static ACTIVE: OnceLock<bool> = OnceLock::new();
    // SAFETY: it takes no arguments. It reads the environment, which a program
    // must not change while other threads read it (see `std::env::set_var`), and
    // loads the library that whoever started the process chose, as for a preload.
    *ACTIVE.get_or_init(|| unsafe { iJIT_IsProfilingActive() } != 0)
}

/// Announces that a method is there.
pub(super) fn load(method: &Method<'_>) {
    let mut data = iJIT_Method_Load_V2 {
        method_id: method.id,
        method_name: method.name.as_ptr().cast_mut(),
        method_load_address: method.address.0 as *mut _,
        method_size: method.size,
        line_number_size: 0,
        line_number_table: null_mut(),
        class_file_name: null_mut(),
        source_file_name: null_mut(),
        module_name: method.module.as_ptr().cast_mut(),
    };
    // SAFETY: `iJIT_Method_Load_V2` is the structure that belongs to LOAD. Its
    // strings are borrowed until after the call, and the table has no entries.
    unsafe { notify(LOAD, &raw mut data) }
}

/// Announces that a method goes away.
pub(super) fn unload(method: &Method<'_>) {
    let mut data = iJIT_Method_Load {
        method_id: method.id,
        method_name: method.name.as_ptr().cast_mut(),
        method_load_address: method.address.0 as *mut _,
        method_size: method.size,
        line_number_size: 0,
        line_number_table: null_mut(),
        class_id: 0,
        class_file_name: null_mut(),
        source_file_name: null_mut(),
    };
    // SAFETY: `iJIT_Method_Load` is the structure that belongs to UNLOAD; the
    // rest is as in `load`.
    unsafe { notify(UNLOAD, &raw mut data) }
}

/// Announces that there will be no more events.
pub(super) fn shutdown() {
    // SAFETY: SHUTDOWN comes with a null pointer.
    unsafe { notify(SHUTDOWN, null_mut::<u8>()) }
}

/// Passes an event to the collector.
///
/// What it answers is not looked at: the interface does not say why a collector
/// would refuse, and there is nothing to do about it.
///
/// # Safety
///
/// `data` must point to the structure that belongs to the event, or be null if
/// there is none. Everything it points to must live until this returns.
unsafe fn notify<T>(event: iJIT_JVM_EVENT, data: *mut T) {
    // Nothing is announced before `start`, so the collector is loaded and the
    // call does not race with loading it.
    // SAFETY: the caller vouches for `data`, of which the collector keeps copies.
    unsafe { iJIT_NotifyEvent(event, data.cast()) };
}
