//! How profilers learn of code: the trait, and the list that a program runs with.
//!
//! An agent never stops the guest. When one fails, it is asked nothing more and
//! the failure is handed to whoever set up the list, once.

use crate::{CodeImage, Pc};
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

/// A code image and where it has been mapped, executable from here on.
#[derive(Clone, Copy, Debug)]
pub struct LoadedImage<'a> {
    /// The image.
    pub image: &'a CodeImage,
    /// The address of its first byte.
    pub base: Pc,
    /// How many bytes are executable: the text, rounded up to whole pages.
    pub len: usize,
}

/// Tells a profiler about machine code.
///
/// An agent may be called from any thread, one call at a time.
pub trait ProfilingAgent: Send + fmt::Debug {
    /// What the agent is called on the command line.
    fn name(&self) -> &'static str;

    /// Called when an image has been mapped and nothing in it has run yet.
    ///
    /// # Errors
    ///
    /// If the profiler cannot be told; the agent is not called again.
    fn loaded(&mut self, image: LoadedImage<'_>) -> Result<(), AgentError>;

    /// Called when nothing in the image will run any more, before it is
    /// unmapped.
    ///
    /// # Errors
    ///
    /// As [`loaded`](ProfilingAgent::loaded).
    fn unloaded(&mut self, image: LoadedImage<'_>) -> Result<(), AgentError>;
}

/// Why an agent cannot do its work.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentError {
    /// A file could not be created or written.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The agent cannot work here; the text says why and what to do.
    Unavailable(String),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentError::File { path, error } => {
                write!(f, "cannot write {}: {error}", path.display())
            }
            AgentError::Unavailable(why) => f.write_str(why),
        }
    }
}

// The text has that of the cause in it: there is no source to print besides.
impl std::error::Error for AgentError {}

/// What is called with the name and the failure of an agent, once per agent.
type OnFailure = Box<dyn Fn(&'static str, &AgentError) + Send + Sync>;

/// The agents of an engine.
pub struct Agents {
    active: Mutex<Vec<Box<dyn ProfilingAgent>>>,
    on_failure: OnFailure,
}

impl Agents {
    /// Agents that are told of everything that is loaded from now on.
    pub fn new(
        agents: Vec<Box<dyn ProfilingAgent>>,
        on_failure: impl Fn(&'static str, &AgentError) + Send + Sync + 'static,
    ) -> Agents {
        Agents { active: Mutex::new(agents), on_failure: Box::new(on_failure) }
    }

    /// Tells every agent that an image was loaded.
    pub fn loaded(&self, image: LoadedImage<'_>) {
        self.tell(|agent| agent.loaded(image));
    }

    /// Tells every agent that an image goes away.
    pub fn unloaded(&self, image: LoadedImage<'_>) {
        self.tell(|agent| agent.unloaded(image));
    }

    fn tell(&self, call: impl Fn(&mut dyn ProfilingAgent) -> Result<(), AgentError>) {
        // An agent that panicked has left the list as it was.
        let mut active = self.active.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        active.retain_mut(|agent| match call(&mut **agent) {
            Ok(()) => true,
            Err(error) => {
                (self.on_failure)(agent.name(), &error);
                false
            }
        });
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Agents").field(&self.active).finish()
    }
}
