//! Threads of a script: directives that run at the same time as others.
//!
//! A thread has a store and names of its own. All that it shares with the others
//! are the memories of one module. What became of its directives is told where
//! the script waits for it, or at the end.

use super::runner::{Runner, Verdict};
use std::thread::{Scope, ScopedJoinHandle};
use wasmprof_engine::{Engine, SharedMemory};
use wast::WastThread;
use wast::token::{Id, Span};

/// The threads that a script has started and not waited for.
pub(super) struct Threads<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    running: Vec<Thread<'scope>>,
}

struct Thread<'scope> {
    name: String,
    span: Span,
    handle: ScopedJoinHandle<'scope, Vec<Verdict>>,
}

impl<'scope, 'env> Threads<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>) -> Self {
        Threads { scope, running: Vec::new() }
    }

    /// Starts a thread that sees these memories of a module.
    ///
    /// # Errors
    ///
    /// If one of this name is running.
    pub(super) fn start(
        &mut self,
        engine: &'env Engine,
        thread: WastThread<'env>,
        shared: Option<(Id<'env>, Vec<(String, SharedMemory)>)>,
    ) -> Result<(), String> {
        let name = thread.name.name().to_owned();
        if self.running.iter().any(|running| running.name == name) {
            return Err(format!("there is a thread ${name} already"));
        }
        let (scope, span) = (self.scope, thread.span);
        let handle = scope.spawn(move || {
            let mut verdicts = Vec::new();
            match Runner::new(engine, scope) {
                Ok(mut runner) => {
                    if let Some((name, exports)) = shared {
                        runner.show_module(name, exports);
                    }
                    runner.run(thread.directives, &mut |verdict| verdicts.push(verdict));
                }
                Err(error) => verdicts.push(failed(span, error.to_string())),
            }
            verdicts
        });
        self.running.push(Thread { name, span, handle });
        Ok(())
    }

    /// What became of the directives of a thread, when it has ended.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub(super) fn wait(&mut self, name: Id<'_>) -> Result<Vec<Verdict>, String> {
        let at = self.running.iter().position(|running| running.name == name.name());
        let at = at.ok_or_else(|| format!("there is no thread ${}", name.name()))?;
        Ok(end(self.running.remove(at)))
    }

    /// What became of the directives of all threads that nobody has waited for.
    pub(super) fn wait_for_all(&mut self) -> Vec<Verdict> {
        self.running.drain(..).flat_map(end).collect()
    }
}

fn end(thread: Thread<'_>) -> Vec<Verdict> {
    let Thread { span, handle, .. } = thread;
    handle.join().unwrap_or_else(|_| vec![failed(span, "the thread panicked".to_owned())])
}

fn failed(span: Span, failure: String) -> Verdict {
    Verdict { span, counts: false, result: Err(failure) }
}
