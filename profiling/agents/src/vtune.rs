//! VTune, by the JIT profiling interface of Intel's ITT API.
//!
//! VTune starts the program with a collector, a library that is named in the
//! environment; methods are announced to it as they come and go. Lines of
//! source code and inlined calls are not announced.

#[cfg_attr(
    all(feature = "vtune", target_os = "linux", target_arch = "x86_64"),
    path = "vtune/itt.rs"
)]
#[cfg_attr(
    not(all(feature = "vtune", target_os = "linux", target_arch = "x86_64")),
    path = "vtune/absent.rs"
)]
mod collector;

use crate::text::one_line;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use wasmprof_image::{AgentError, LoadedImage, Pc, ProfilingAgent, Symbol};

/// The variable that names the collector of JIT events.
const JIT_VARIABLE: &str = "INTEL_JIT_PROFILER64";
/// The variable that names the collector of all other events.
const ITT_VARIABLE: &str = "INTEL_LIBITTNOTIFY64";

/// The next method's number. VTune keeps those below 1000 for itself.
static NEXT_ID: AtomicU32 = AtomicU32::new(1000);

/// The agents of this process, which have one collector between them.
static SESSION: Mutex<Session> = Mutex::new(Session { agents: 0, told: false });

struct Session {
    /// How many agents there are.
    agents: usize,
    /// Whether the collector was told anything.
    told: bool,
}

/// Whether this process was started by VTune, as far as the environment says.
pub fn collector_is_present() -> bool {
    is_set(JIT_VARIABLE) || is_set(ITT_VARIABLE)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Announces machine code to VTune.
///
/// Each function, trampoline and stub is a method of the module that has the
/// image's name. When the last agent of the process is dropped, the collector
/// is told that there will be no more, if it was told anything.
#[derive(Debug)]
pub struct VTune {
    /// The numbers of the methods of each image, in the order of its symbols.
    images: HashMap<Pc, Range<u32>>,
}

/// What the collector is told of a method.
#[allow(dead_code, reason = "where VTune cannot be used, nobody is told")]
struct Method<'a> {
    id: u32,
    name: &'a CStr,
    module: &'a CStr,
    address: Pc,
    size: u32,
}

impl VTune {
    /// The agent's name on the command line.
    pub const NAME: &str = "vtune";

    /// Connects to the collector.
    ///
    /// # Errors
    ///
    /// If there is none or it does not work here; the text says what to do.
    pub fn new() -> Result<VTune, AgentError> {
        collector::start().map_err(AgentError::Unavailable)?;
        session(|session| session.agents += 1);
        Ok(VTune { images: HashMap::new() })
    }
}

impl ProfilingAgent for VTune {
    fn name(&self) -> &'static str {
        VTune::NAME
    }

    fn loaded(&mut self, image: LoadedImage<'_>) -> Result<(), AgentError> {
        let ids = allocate_ids(image.image.symbols.len())?;
        self.images.insert(image.base, ids.clone());
        announce(image, ids, collector::load);
        Ok(())
    }

    fn unloaded(&mut self, image: LoadedImage<'_>) -> Result<(), AgentError> {
        if let Some(ids) = self.images.remove(&image.base) {
            announce(image, ids, collector::unload);
        }
        Ok(())
    }
}

impl Drop for VTune {
    fn drop(&mut self) {
        session(|session| {
            session.agents -= 1;
            if session.agents == 0 && session.told {
                session.told = false;
                collector::shutdown();
            }
        });
    }
}

/// Calls `tell` for each symbol that has code; VTune takes no empty methods.
fn announce(loaded: LoadedImage<'_>, ids: Range<u32>, tell: fn(&Method<'_>)) {
    let LoadedImage { image, base, .. } = loaded;
    let module = c_string(&image.name);
    for (id, symbol) in ids.zip(&image.symbols).filter(|(_, symbol)| symbol.size > 0) {
        let Symbol { start, size, .. } = *symbol;
        let name = c_string(&image.symbol_name(symbol));
        let address = Pc(base.0 + start.index());
        tell(&Method { id, name: &name, module: &module, address, size });
        session(|session| session.told = true);
    }
}

/// Takes numbers that no other method has.
fn allocate_ids(count: usize) -> Result<Range<u32>, AgentError> {
    u32::try_from(count)
        .ok()
        .and_then(|count| {
            let more = |next: u32| next.checked_add(count);
            let first = NEXT_ID.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
            Some(first..first + count)
        })
        .ok_or_else(|| AgentError::Unavailable("there are no more numbers for methods".into()))
}

/// The name as VTune takes it.
fn c_string(name: &str) -> CString {
    // There is no NUL on the line, so this does not fail.
    CString::new(one_line(name).into_owned()).unwrap_or_default()
}

fn session<R>(change: impl FnOnce(&mut Session) -> R) -> R {
    change(&mut SESSION.lock().unwrap_or_else(PoisonError::into_inner))
}
