//! What each directive of a script does, and whether it does as it says.

use super::thread::Threads;
use super::{script, spectest, value};
use std::collections::HashMap;
use std::fmt;
use std::thread::Scope;
use wasmprof_engine::{
    Engine, Error, Extern, Instance, LinkError, Linker, Module, SharedMemory, Store, TrapCode, Val,
};
use wast::token::{Id, Span};
use wast::{QuoteWat, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// What a script, or a thread of one, has made so far.
pub(super) struct Runner<'scope, 'env> {
    engine: &'env Engine,
    store: Store<()>,
    linker: Linker<()>,
    instances: Named<Visible>,
    definitions: Named<Module>,
    threads: Threads<'scope, 'env>,
}

/// What became of a directive.
pub(super) struct Verdict {
    pub(super) span: Span,
    /// Whether it is an assertion, which is counted if it holds.
    pub(super) counts: bool,
    /// What was expected and what came instead, if it does not hold.
    pub(super) result: Result<(), String>,
}

/// What the name of a module stands for.
#[derive(Clone)]
pub(super) enum Visible {
    Instance(Instance),
    /// An instance of another thread: its exports that threads may share.
    OfOtherThread(Vec<(String, SharedMemory)>),
}

/// Things that have names or not; one without is meant by none.
struct Named<T> {
    last: Option<T>,
    by_name: HashMap<String, T>,
}

impl<T: Clone> Named<T> {
    fn new() -> Self {
        Named { last: None, by_name: HashMap::new() }
    }

    /// Forgets what the name means: something new is about to get it, and if
    /// that fails, nobody shall mistake the old thing for it.
    fn clear(&mut self, name: Option<Id<'_>>) {
        self.last = None;
        if let Some(name) = name {
            self.by_name.remove(name.name());
        }
    }

    fn set(&mut self, name: Option<Id<'_>>, item: T) {
        if let Some(name) = name {
            self.by_name.insert(name.name().to_owned(), item.clone());
        }
        self.last = Some(item);
    }

    fn get(&self, name: Option<Id<'_>>) -> Result<T, String> {
        match name {
            Some(name) => {
                let found = self.by_name.get(name.name()).cloned();
                found.ok_or_else(|| format!("there is no module ${}", name.name()))
            }
            None => self.last.clone().ok_or_else(|| "there is no module".to_owned()),
        }
    }
}

/// How something that was executed ended.
enum Outcome {
    Values(Vec<Val>),
    Failed(Error),
}

/// Why a module was not accepted.
enum Refusal {
    Text(wast::Error),
    Engine(Error),
    Unsupported,
}

impl Refusal {
    /// Whether it is the module that is at fault.
    fn is_rejection(&self) -> bool {
        matches!(self, Refusal::Text(_) | Refusal::Engine(Error::Module(_)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Text(error) => f.write_str(&error.message()),
            Refusal::Engine(error) => error.fmt(f),
            Refusal::Unsupported => f.write_str("unsupported: components"),
        }
    }
}

impl<'scope, 'env> Runner<'scope, 'env> {
    /// A store with `spectest` and nothing else. Threads are started in `scope`.
    pub(super) fn new(
        engine: &'env Engine,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Result<Self, Error> {
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        spectest::define(&mut linker, &mut store)?;
        let (instances, definitions) = (Named::new(), Named::new());
        let threads = Threads::new(scope);
        Ok(Runner { engine, store, linker, instances, definitions, threads })
    }

    /// Makes something of another thread visible.
    pub(super) fn show_module(&mut self, name: Id<'_>, exports: Vec<(String, SharedMemory)>) {
        self.instances.set(Some(name), Visible::OfOtherThread(exports));
    }

    /// Does what directives say, to the end, whatever fails, and waits for all
    /// threads.
    pub(super) fn run(
        &mut self,
        directives: Vec<WastDirective<'env>>,
        report: &mut dyn FnMut(Verdict),
    ) {
        for directive in directives {
            let (span, counts) = (directive.span(), script::is_assertion(&directive));
            let result = match directive {
                WastDirective::Wait { thread, .. } => self
                    .threads
                    .wait(thread)
                    .map(|verdicts| verdicts.into_iter().for_each(&mut *report)),
                other => self.directive(other),
            };
            report(Verdict { span, counts, result });
        }
        for verdict in self.threads.wait_for_all() {
            report(verdict);
        }
    }

    /// Does what a directive says.
    ///
    /// # Errors
    ///
    /// If it does not hold: what was expected, and what came instead.
    fn directive(&mut self, directive: WastDirective<'env>) -> Result<(), String> {
        match directive {
            WastDirective::Module(module) => self.module(module),
            WastDirective::ModuleDefinition(module) => self.definition(module),
            WastDirective::ModuleInstance { instance, module, .. } => {
                self.instances.clear(instance);
                let module = self.definitions.get(module)?;
                self.instance(instance, &module)
            }
            WastDirective::Register { name, module, .. } => {
                let instance = self.instances.get(module)?;
                self.register(name, instance).map_err(|error| error.to_string())
            }
            WastDirective::Invoke(invoke) => match self.invoke(&invoke)? {
                Outcome::Values(_) => Ok(()),
                failed => Err(format!("expected no failure, got {}", self.show(&failed, &[]))),
            },
            WastDirective::AssertReturn { exec, results, .. } => {
                let outcome = self.execute(exec)?;
                match &outcome {
                    Outcome::Values(values) if value::all_match(&self.store, values, &results) => {
                        Ok(())
                    }
                    _ => Err(format!(
                        "expected {}, got {}",
                        value::show_expected(&results),
                        self.show(&outcome, &results)
                    )),
                }
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                let outcome = self.execute(exec)?;
                self.trapped(&outcome, message, |_| true)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let outcome = self.invoke(&call)?;
                self.trapped(&outcome, message, |code| code == TrapCode::StackOverflow)
            }
            WastDirective::AssertInvalid { module, message, .. } => {
                self.rejected(module, "an invalid", message)
            }
            WastDirective::AssertMalformed { module, message, .. } => {
                self.rejected(module, "a malformed", message)
            }
            WastDirective::AssertUnlinkable { module, message, .. } => {
                self.unlinkable(module, message)
            }
            WastDirective::AssertException { exec, .. } => match self.execute(exec)? {
                Outcome::Failed(Error::Exception(_)) => Ok(()),
                other => Err(format!("expected an exception, got {}", self.show(&other, &[]))),
            },
            WastDirective::AssertSuspension { .. } => unsupported("stack switching"),
            WastDirective::Thread(thread) => {
                let shared = match thread.shared_module {
                    Some(name) => Some((name, self.shared_exports(name)?)),
                    None => None,
                };
                self.threads.start(self.engine, thread, shared)
            }
            WastDirective::Wait { .. } => unreachable!("it is for whoever has the verdicts"),
            WastDirective::AssertInvalidCustom { .. }
            | WastDirective::AssertMalformedCustom { .. } => {
                unsupported("assertions on custom sections")
            }
        }
    }

    fn register(&mut self, name: &str, instance: Visible) -> Result<(), Error> {
        match instance {
            Visible::Instance(instance) => {
                self.linker.instance(&mut self.store, name, instance)?;
            }
            Visible::OfOtherThread(exports) => {
                for (field, memory) in exports {
                    self.linker.define(&mut self.store, name, &field, memory)?;
                }
            }
        }
        Ok(())
    }

    /// An instance of this thread.
    fn own(&self, name: Option<Id<'_>>) -> Result<Instance, String> {
        match self.instances.get(name)? {
            Visible::Instance(instance) => Ok(instance),
            Visible::OfOtherThread(_) => {
                Err("the module is of another thread, and only its memory can be used".to_owned())
            }
        }
    }

    /// What other threads may see of a module.
    fn shared_exports(&mut self, name: Id<'_>) -> Result<Vec<(String, SharedMemory)>, String> {
        Ok(match self.instances.get(Some(name))? {
            Visible::OfOtherThread(exports) => exports,
            Visible::Instance(instance) => {
                let exports = instance.exports(&mut self.store).into_iter();
                exports.filter_map(|(name, it)| Some((name, it.into_shared_memory()?))).collect()
            }
        })
    }

    fn module(&mut self, module: QuoteWat<'_>) -> Result<(), String> {
        let name = module.name();
        self.instances.clear(name);
        let module = self.compile(module).map_err(|refusal| refusal.to_string())?;
        self.instance(name, &module)
    }

    fn definition(&mut self, module: QuoteWat<'_>) -> Result<(), String> {
        let name = module.name();
        self.definitions.clear(name);
        let module = self.compile(module).map_err(|refusal| refusal.to_string())?;
        self.definitions.set(name, module);
        Ok(())
    }

    fn instance(&mut self, name: Option<Id<'_>>, module: &Module) -> Result<(), String> {
        let instance = self.linker.instantiate(&mut self.store, module);
        let instance = instance.map_err(|error| error.to_string())?;
        self.instances.set(name, Visible::Instance(instance));
        Ok(())
    }

    fn compile(&self, module: QuoteWat<'_>) -> Result<Module, Refusal> {
        if script::is_component(&module) {
            return Err(Refusal::Unsupported);
        }
        let binary = script::binary(module).map_err(Refusal::Text)?;
        Module::from_binary(self.engine, &binary).map_err(Refusal::Engine)
    }

    /// Executes something that an assertion is about.
    fn execute(&mut self, exec: WastExecute<'_>) -> Result<Outcome, String> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Get { module, global, .. } => {
                let instance = self.own(module)?;
                match instance.get_global(&mut self.store, global) {
                    Some(global) => Ok(Outcome::Values(vec![global.get(&mut self.store)])),
                    None => Err(format!("there is no exported global `{global}`")),
                }
            }
            WastExecute::Wat(module) => {
                let module = self
                    .compile(QuoteWat::Wat(module))
                    .map_err(|refusal| format!("expected a module, got {refusal}"))?;
                Ok(match self.linker.instantiate(&mut self.store, &module) {
                    Ok(_) => Outcome::Values(Vec::new()),
                    Err(error) => Outcome::Failed(error),
                })
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Outcome, String> {
        let WastInvoke { module, name, args, .. } = invoke;
        let instance = self.own(*module)?;
        let export = instance.get_export(&mut self.store, name);
        let func = export
            .and_then(Extern::into_func)
            .ok_or_else(|| format!("there is no exported function `{name}`"))?;
        let mut params = Vec::with_capacity(args.len());
        for arg in args {
            params.push(value::argument(&mut self.store, arg)?);
        }
        let ty = func.ty(&self.store);
        let mut results: Vec<Val> = ty.results().iter().map(|ty| Val::default_for(*ty)).collect();
        match func.call(&mut self.store, &params, &mut results) {
            Ok(()) => Ok(Outcome::Values(results)),
            Err(error @ Error::Link(_)) => Err(error.to_string()),
            Err(error) => Ok(Outcome::Failed(error)),
        }
    }

    fn trapped(
        &self,
        outcome: &Outcome,
        message: &str,
        fits: impl Fn(TrapCode) -> bool,
    ) -> Result<(), String> {
        match outcome {
            Outcome::Failed(Error::Trap(trap))
                if fits(trap.code) && same_words(&trap.code.to_string(), message) =>
            {
                Ok(())
            }
            _ => Err(format!("expected the trap \"{message}\", got {}", self.show(outcome, &[]))),
        }
    }

    fn rejected(&self, module: QuoteWat<'_>, kind: &str, message: &str) -> Result<(), String> {
        let got = match self.compile(module) {
            Err(refusal) if refusal.is_rejection() => return Ok(()),
            Err(refusal) => refusal.to_string(),
            Ok(_) => "a module that is accepted".to_owned(),
        };
        Err(format!("expected {kind} module ({message}), got {got}"))
    }

    fn unlinkable(&mut self, module: Wat<'_>, message: &str) -> Result<(), String> {
        let wrong = |got: &dyn fmt::Display| {
            Err(format!("expected a module that cannot be linked ({message}), got {got}"))
        };
        let module = match self.compile(QuoteWat::Wat(module)) {
            Ok(module) => module,
            Err(refusal) => return wrong(&refusal),
        };
        let is_about_imports = |error: &LinkError| {
            matches!(error, LinkError::MissingImport { .. } | LinkError::ImportType { .. })
        };
        match self.linker.instantiate(&mut self.store, &module) {
            Err(Error::Link(error))
                if is_about_imports(&error) && error.to_string().starts_with(message) =>
            {
                Ok(())
            }
            Err(error) => wrong(&error),
            Ok(_) => wrong(&"an instance"),
        }
    }

    fn show(&self, outcome: &Outcome, expected: &[WastRet<'_>]) -> String {
        match outcome {
            Outcome::Values(values) => value::show_all(&self.store, values, expected),
            Outcome::Failed(Error::Trap(trap)) => format!("the trap \"{}\"", trap.code),
            Outcome::Failed(error) => format!("the error \"{error}\""),
        }
    }
}

/// Whether a trap is the one that a script means by `message`. Scripts may give
/// only the start of the words, or an index behind them.
fn same_words(words: &str, message: &str) -> bool {
    !message.is_empty() && (words.starts_with(message) || message.starts_with(words))
}

fn unsupported(what: &str) -> Result<(), String> {
    Err(format!("unsupported: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmprof_engine::Config;

    /// The directives of a script, each with whether it holds.
    fn verdicts(text: &str) -> Vec<Result<(), String>> {
        let engine = Engine::new(Config::new()).expect("an engine");
        let buffer = script::lex(text).expect("tokens");
        let directives = script::parse(&buffer).expect("directives");
        let mut verdicts = Vec::new();
        std::thread::scope(|scope| {
            let mut runner = Runner::new(&engine, scope).expect("a runner");
            runner.run(directives, &mut |verdict| verdicts.push(verdict.result));
        });
        verdicts
    }

    #[test]
    fn the_words_of_a_trap_may_be_cut_or_go_on() {
        assert!(same_words("uninitialized element", "uninitialized element 2"));
        assert!(same_words("undefined element", "undefined"));
        assert!(!same_words("undefined element", "uninitialized element"));
        assert!(!same_words("undefined element", ""));
    }

    #[test]
    fn a_wrong_expectation_fails_and_the_script_goes_on() {
        let verdicts = verdicts(
            r#"(module (func (export "f") (result i32) (i32.const 1))
                       (func (export "g") unreachable))
               (assert_return (invoke "f") (i32.const 2))
               (assert_return (invoke "f") (i32.const 1))
               (assert_return (invoke "g"))
               (assert_trap (invoke "f") "unreachable")
               (assert_trap (invoke "g") "integer overflow")
               (assert_exhaustion (invoke "g") "unreachable")
               (assert_return (invoke "h"))
               (assert_return (invoke "f" (i32.const 1)))
               (assert_return (get "f"))
               (assert_invalid (module) "type mismatch")
               (assert_malformed (module quote "(func)") "unexpected token")
               (assert_unlinkable (module) "unknown import")
               (assert_unlinkable (module (import "spectest" "x" (func))) "incompatible import")
               (assert_trap (invoke "g") "unreachable")"#,
        );
        let held: Vec<usize> =
            (0..).zip(&verdicts).filter(|it| it.1.is_ok()).map(|it| it.0).collect();
        assert_eq!(held, [0, 2, 14]);
        let failure = |at: usize| verdicts[at].as_ref().expect_err("it fails").as_str();
        assert_eq!(failure(1), "expected (i32.const 2), got (i32.const 1)");
        assert_eq!(failure(3), "expected no values, got the trap \"unreachable\"");
        assert_eq!(failure(4), "expected the trap \"unreachable\", got (i32.const 1)");
        assert_eq!(
            failure(10),
            "expected an invalid module (type mismatch), got a module that is accepted"
        );
    }

    #[test]
    fn a_module_that_fails_leaves_none_to_be_mistaken_for_it() {
        let verdicts = verdicts(
            r#"(module $m (func (export "f")))
               (module $m (func (export "f")) (func (i32.const 1)))
               (assert_return (invoke "f"))
               (assert_return (invoke $m "f"))"#,
        );
        assert_eq!(
            verdicts.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [true, false, false, false]
        );
    }

    #[test]
    fn definitions_are_instantiated_by_name() {
        let verdicts = verdicts(
            r#"(module definition $d (global $g (mut i32) (i32.const 0))
                   (func (export "next") (result i32)
                       (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))
               (module instance $a $d)
               (module instance $b $d)
               (assert_return (invoke $a "next") (i32.const 1))
               (assert_return (invoke $a "next") (i32.const 2))
               (assert_return (invoke "next") (i32.const 1))
               (register "b" $b)
               (module (import "b" "next" (func (result i32))) (export "next" (func 0)))
               (assert_return (invoke "next") (i32.const 2))"#,
        );
        assert_eq!(verdicts, vec![Ok(()); 9]);
    }

    #[test]
    fn threads_share_memories_and_nothing_else() {
        let verdicts = verdicts(
            r#"(module $m (memory (export "shared") 1 1 shared) (memory (export "own") 1 1)
                   (func (export "f") (result i32)
                       (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
               (thread $t (shared (module $m))
                   (register "m" $m)
                   (module (memory (import "m" "shared") 1 1 shared)
                       (func (export "wake") (result i32)
                           (i32.atomic.store (i32.const 0) (i32.const 1))
                           (memory.atomic.notify (i32.const 0) (i32.const 9))))
                   (assert_return (invoke "wake") (i32.const 7))
                   (assert_unlinkable (module (import "m" "own" (memory 1))) "unknown import")
                   (assert_return (invoke $m "f") (i32.const 0)))
               (wait $t)
               (wait $t)
               (assert_return (invoke "f") (i32.const 1))
               (thread $u (assert_return (invoke "f") (i32.const 0)))"#,
        );
        // The thread starts; its six directives are told of where it is waited
        // for; then that wait, the wrong wait, an assertion, and a thread that
        // nobody waits for.
        let failures: Vec<usize> =
            (0..).zip(&verdicts).filter(|it| it.1.is_err()).map(|it| it.0).collect();
        assert_eq!((verdicts.len(), failures), (12, vec![4, 6, 8, 11]));
        let failure = |at: usize| verdicts[at].as_ref().expect_err("it fails").as_str();
        assert!(failure(4).starts_with("expected (i32.const 7), got"), "{}", failure(4));
        assert!(failure(6).contains("another thread"), "{}", failure(6));
        assert_eq!(failure(8), "there is no thread $t");
        assert_eq!(failure(11), "there is no module");
    }
}
