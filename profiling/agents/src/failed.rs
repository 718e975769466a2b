//! An agent that could not be started, in its place on the list.
//!
//! It hands its error over at the first image, so that a failed start is
//! reported as every other failure of an agent is: once, while the other agents
//! and the guest go on.

use wasmprof_image::{AgentError, LoadedImage, ProfilingAgent};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Failed {
    name: &'static str,
    error: Option<AgentError>,
}

impl Failed {
    pub(crate) fn new(name: &'static str, error: AgentError) -> Failed {
        Failed { name, error: Some(error) }
    }
}

impl ProfilingAgent for Failed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn loaded(&mut self, _: LoadedImage<'_>) -> Result<(), AgentError> {
        self.error.take().map_or(Ok(()), Err)
    }

    fn unloaded(&mut self, _: LoadedImage<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}
