//! The two functions that a collector exports, and the structures that they are passed.
//!
//! The layouts are those of `jitprofiling.h` of the ITT API, for 64-bit systems.

use crate::log::{Event, append};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

const SHUTDOWN: c_uint = 2;
const METHOD_UNLOAD_START: c_uint = 14;
const METHOD_LOAD_FINISHED_V2: c_uint = 21;

/// `iJIT_Method_Load_V2`. An unloaded method comes as `iJIT_Method_Load`, which
/// starts with the same fields; only its id is read.
#[repr(C)]
struct MethodLoadV2 {
    method_id: c_uint,
    method_name: *const c_char,
    method_load_address: *const c_void,
    method_size: c_uint,
    line_number_size: c_uint,
    line_number_table: *const c_void,
    class_file_name: *const c_char,
    source_file_name: *const c_char,
    module_name: *const c_char,
}

const _: () = assert!(size_of::<MethodLoadV2>() == 64);

/// Called once, before any event; 1 says that profiling is active.
// SAFETY: the collector's interface prescribes the name, and no other function
// of a program that loads a collector has it.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn Initialize() -> c_uint {
    append(&Event::Initialize);
    1
}

/// Called for each event; 1 says that it was taken.
///
/// # Safety
///
/// `data` must be null or point to the structure that belongs to `event`, whose
/// strings are null or end with a NUL.
// SAFETY: as for `Initialize`.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn NotifyEvent(event: c_uint, data: *mut c_void) -> c_int {
    let event = match event {
        SHUTDOWN => Event::Shutdown,
        METHOD_LOAD_FINISHED_V2 if !data.is_null() => {
            // SAFETY: the caller promises this structure for this event.
            let method = unsafe { &*data.cast::<MethodLoadV2>() };
            Event::Load {
                id: method.method_id,
                // SAFETY: the caller promises that the strings end.
                name: unsafe { text(method.method_name) },
                // SAFETY: likewise.
                module: unsafe { text(method.module_name) },
                address: method.method_load_address as u64,
                size: method.method_size,
            }
        }
        // SAFETY: the caller promises a structure that starts with the id.
        METHOD_UNLOAD_START if !data.is_null() => Event::Unload { id: unsafe { *data.cast() } },
        number => Event::Other { number },
    };
    append(&event);
    1
}

/// A copy of a string of the caller's; a null pointer is the empty string.
///
/// # Safety
///
/// `string` must be null or point to a string that ends with a NUL.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises that it ends.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
