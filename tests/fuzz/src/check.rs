//! Runs a case everywhere, and compares.

use crate::case::{Case, FUEL, Proposals, Setup};
use crate::fuel;
use crate::guest::{Guest, Item, Outcome, Trap};
use crate::host::Host;
use crate::plan::Plan;
use crate::{on_wasmi, on_wasmprof, on_wasmtime};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmparser::{Operator, Parser, Payload, TypeRef};
use wasmprof_engine::Strategy;

/// A difference between two engines, or something that no engine should do.
#[derive(Debug)]
pub struct Mismatch {
    /// Where: at which call, or in what is left over.
    pub place: String,
    /// The first engine, and what it did.
    pub one: (&'static str, String),
    /// The second engine, and what it did.
    pub other: (&'static str, String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { place, one, other } = self;
        writeln!(f, "engines differ at {place}:")?;
        writeln!(f, "  {:<20} {}", one.0, one.1)?;
        write!(f, "  {:<20} {}", other.0, other.1)
    }
}

impl std::error::Error for Mismatch {}

/// What was done, so that a run in which little happened is seen to be one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Modules that were run.
    pub modules: u64,
    /// Modules that were made with all proposals that we have.
    pub with_all_proposals: u64,
    /// Calls of exported functions, by one engine.
    pub calls: u64,
    /// Calls of exported functions that returned.
    pub returned: u64,
    /// Calls of exported functions that ended with an exception.
    pub threw: u64,
    /// Calls of host functions by modules, in one engine.
    pub host_calls: u64,
    /// Modules that were compared with wasmtime.
    pub with_wasmtime: u64,
    /// Modules that were compared with wasmi.
    pub with_wasmi: u64,
    /// Modules that were not, for a known mistake of it.
    pub left_out_of_wasmi: u64,
    /// Why calls and starts trapped, and how often.
    pub traps: BTreeMap<Trap, u64>,
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Counts) {
        self.modules += other.modules;
        self.with_all_proposals += other.with_all_proposals;
        self.threw += other.threw;
        self.calls += other.calls;
        self.returned += other.returned;
        self.host_calls += other.host_calls;
        self.with_wasmtime += other.with_wasmtime;
        self.with_wasmi += other.with_wasmi;
        self.left_out_of_wasmi += other.left_out_of_wasmi;
        for (trap, count) in &other.traps {
            *self.traps.entry(trap.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "modules                {}", self.modules)?;
        writeln!(f, "  all proposals        {}", self.with_all_proposals)?;
        writeln!(f, "compared with wasmtime {}", self.with_wasmtime)?;
        writeln!(f, "compared with wasmi    {}", self.with_wasmi)?;
        writeln!(f, "left out of wasmi      {}", self.left_out_of_wasmi)?;
        writeln!(f, "functions called       {}", self.calls)?;
        writeln!(f, "  returned             {}", self.returned)?;
        writeln!(f, "  threw                {}", self.threw)?;
        for (trap, count) in &self.traps {
            writeln!(f, "  {:<20} {count}", format!("{trap:?}"))?;
        }
        write!(f, "host functions called  {}", self.host_calls)
    }
}

/// All engines, set up in all ways.
pub struct Checker {
    optimized: HashMap<Setup, wasmprof_engine::Engine>,
    fast: HashMap<Setup, wasmprof_engine::Engine>,
    wasmtime: [wasmtime::Engine; 2],
    wasmi: wasmi::Engine,
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker").finish_non_exhaustive()
    }
}

impl Default for Checker {
    fn default() -> Self {
        Checker::new()
    }
}

const VALID: &str = "modules are checked when they are made";

type Started = Result<(Box<dyn Guest>, Outcome), String>;

impl Checker {
    /// All engines, set up in all ways.
    pub fn new() -> Checker {
        let ours = |strategy| {
            Setup::all().map(|setup| (setup, on_wasmprof::engine(setup, strategy))).collect()
        };
        Checker {
            optimized: ours(Strategy::Optimized),
            fast: ours(Strategy::Fast),
            wasmtime: [false, true].map(on_wasmtime::engine),
            wasmi: wasmi::Engine::default(),
        }
    }

    /// Runs `case` everywhere and adds to `counts` what happened.
    ///
    /// # Errors
    ///
    /// If engines differ, or one refuses the module or panics.
    pub fn check(&self, case: &Case, counts: &mut Counts) -> Result<(), Mismatch> {
        let plan = Plan::new(case);
        let accepted = |name, run: Result<Run, String>| {
            run.map_err(|error| Mismatch {
                place: "the start".to_owned(),
                one: (name, error),
                other: ("wasmparser", "accepts the module".to_owned()),
            })
        };
        let start = |engine| on_wasmprof::start(engine, &case.wasm, &plan);
        let optimized = run(&plan, || start(&self.optimized[&case.setup]));
        let optimized = accepted("wasmprof, optimized", optimized)?;
        let fast = run(&plan, || start(&self.fast[&case.setup]));
        let fast = accepted("wasmprof, fast", fast)?;
        let wasmtime = &self.wasmtime[usize::from(case.setup.engine_nans)];
        let wasmtime = run(&plan, || on_wasmtime::start(wasmtime, &case.wasm, &plan));
        let wasmtime = accepted(WASMTIME, wasmtime)?;

        counts.modules += 1;
        counts.with_all_proposals += u64::from(case.proposals != Proposals::Plain);
        counts.host_calls += optimized.host.calls;
        for outcome in [&optimized.start].into_iter().chain(&optimized.calls) {
            if let Outcome::Trapped(trap) = outcome {
                *counts.traps.entry(trap.clone()).or_default() += 1;
            }
        }
        counts.calls += optimized.calls.len() as u64;
        let returned = |outcome: &&Outcome| matches!(outcome, Outcome::Returned(_));
        counts.returned += optimized.calls.iter().filter(returned).count() as u64;
        let threw = |outcome: &&Outcome| matches!(outcome, Outcome::Threw(_));
        counts.threw += optimized.calls.iter().filter(threw).count() as u64;

        compare(&plan, ("wasmprof, optimized", &optimized), ("wasmprof, fast", &fast))?;
        compare(&plan, ("wasmprof, optimized", &optimized), (WASMTIME, &wasmtime))?;
        counts.with_wasmtime += 1;
        if case.proposals != Proposals::Plain {
            return Ok(());
        }
        // wasmi has limits of its own: a module that it refuses says nothing.
        if is_mistaken_by_wasmi(&case.wasm) {
            counts.left_out_of_wasmi += 1;
        } else if let Ok(other) = run(&plan, || on_wasmi::start(&self.wasmi, &case.wasm, &plan)) {
            compare(&plan, ("wasmprof, optimized", &optimized), ("wasmi", &other))?;
            counts.with_wasmi += 1;
        }
        Ok(())
    }
}

/// What a module did on one engine.
struct Run {
    start: Outcome,
    calls: Vec<Outcome>,
    items: Vec<(String, Item)>,
    host: Host,
}

impl Run {
    /// Whether calls were nested too deeply. What happens after that depends
    /// on how deep an engine lets them be.
    fn overflowed(&self) -> bool {
        let overflow = Outcome::Trapped(Trap::Stack);
        self.start == overflow || self.calls.contains(&overflow)
    }
}

/// Whether wasmi 2.0.0 may run the module wrongly.
///
/// It mistakes `(select (i32.const 1) (x) (i32.eqz (x)))` for 1, whatever `x`
/// is; a test below shows it, and fails when the mistake is mended. The bytes
/// are those of `i32.eqz` and `select`: they may stand for something else, and
/// then a module is left out that need not be.
///
/// And it may write to where it should not after a tail call that reaches a
/// host function, which ends the process. Calls through tables may reach one.
fn is_mistaken_by_wasmi(wasm: &[u8]) -> bool {
    wasm.windows(2).any(|bytes| bytes == [0x45, 0x1b]) || tail_calls_the_host(wasm)
}

fn tail_calls_the_host(wasm: &[u8]) -> bool {
    let mut imported = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect(VALID) {
            Payload::ImportSection(reader) => {
                let imports = reader.into_imports().map(|import| import.expect(VALID).ty);
                imported = imports.filter(|ty| matches!(ty, TypeRef::Func(_))).count() as u32;
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader().expect(VALID) {
                    match operator.expect(VALID) {
                        Operator::ReturnCall { function_index } if function_index < imported => {
                            return true;
                        }
                        Operator::ReturnCallIndirect { .. } => return true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

/// Starts a module and makes the calls of the plan, up to a stack overflow.
///
/// # Errors
///
/// If the engine refuses the module or panics.
fn run(plan: &Plan, start: impl FnOnce() -> Started) -> Result<Run, String> {
    let run = || {
        let (mut guest, start) = start()?;
        let mut calls = Vec::new();
        if matches!(start, Outcome::Returned(_)) {
            for call in &plan.calls {
                guest.refuel(fuel::NAME, FUEL as i32);
                let outcome = guest.call(&call.export, &call.arguments, &call.results);
                let overflow = outcome == Outcome::Trapped(Trap::Stack);
                calls.push(outcome);
                if overflow {
                    break;
                }
            }
        }
        let mut items = guest.items();
        items.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Run { start, calls, items, host: guest.host().clone() })
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a message")))
    })
}

/// What wasmtime is called here.
const WASMTIME: &str = "wasmtime";

/// Whether a wait or a notification trapped for its alignment on our side, and
/// for its address on wasmtime's. Where the static offset takes the address
/// beyond what an index can say, which is outside of every memory, wasmtime does
/// not get as far as finding out that it is no multiple of the size either. The
/// specification does not tell traps apart.
fn is_misaligned_beyond_all(ours: &Outcome, theirs: &Outcome) -> bool {
    *ours == Outcome::Trapped(Trap::Unaligned) && *theirs == Outcome::Trapped(Trap::Memory)
}

fn compare(
    plan: &Plan,
    one: (&'static str, &Run),
    other: (&'static str, &Run),
) -> Result<(), Mismatch> {
    let differ = |place: String, left: String, right: String| {
        Err(Mismatch { place, one: (one.0, left), other: (other.0, right) })
    };
    let (name_one, name_other) = (one.1, other.1);
    let starts = [(String::from("the start"), &name_one.start, &name_other.start)];
    let calls = plan.calls.iter().enumerate().zip(name_one.calls.iter().zip(&name_other.calls));
    let calls = calls.map(|((index, call), (left, right))| {
        (format!("call {index}, of {:?} with {:x?}", call.export, call.arguments), left, right)
    });
    for (place, left, right) in starts.into_iter().chain(calls) {
        let overflow = Outcome::Trapped(Trap::Stack);
        if *left == overflow || *right == overflow {
            return Ok(());
        }
        if left != right && !(other.0 == WASMTIME && is_misaligned_beyond_all(left, right)) {
            return differ(place, left.to_string(), right.to_string());
        }
    }
    if name_one.overflowed() || name_other.overflowed() {
        return Ok(());
    }
    if name_one.host != name_other.host {
        let text = |host: &Host| format!("{host:x?}");
        let place = "what host functions saw".to_owned();
        return differ(place, text(&name_one.host), text(&name_other.host));
    }
    for (left, right) in name_one.items.iter().zip(&name_other.items) {
        if left != right {
            let text = |item: &(String, Item)| format!("{:?} is {:x?}", item.0, item.1);
            return differ("the end".to_owned(), text(left), text(right));
        }
    }
    let (left, right) = (name_one.items.len(), name_other.items.len());
    if left != right {
        let place = "the number of imports and exports".to_owned();
        return differ(place, left.to_string(), right.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// See `is_mistaken_by_wasmi`: when this fails, modules need no longer be
    /// left out.
    #[test]
    fn wasmi_still_mistakes_a_select() {
        // (func (export "f") (param i32) (result i32)
        //   (select (i32.const 1) (local.get 0) (i32.eqz (local.get 0))))
        let wasm = b"\0asm\x01\0\0\0\x01\x06\x01\x60\x01\x7f\x01\x7f\x03\x02\x01\0\
            \x07\x05\x01\x01f\0\0\x0a\x0c\x01\x0a\0\x41\x01\x20\0\x20\0\x45\x1b\x0b";
        let engine = wasmi::Engine::default();
        let module = wasmi::Module::new(&engine, &wasm[..]).expect("valid");
        let mut store = wasmi::Store::new(&engine, ());
        let instance = wasmi::Linker::new(&engine)
            .instantiate_and_start(&mut store, &module)
            .expect("no imports");
        let f = instance.get_typed_func::<i32, i32>(&store, "f").expect("exported");
        assert_eq!(f.call(&mut store, 5).expect("no trap"), 1, "5 is right");
        assert!(is_mistaken_by_wasmi(wasm));
    }
    use crate::guest::Value;
    use crate::plan::Call;

    fn a_run() -> Run {
        Run {
            start: Outcome::Returned(vec![]),
            calls: vec![Outcome::Returned(vec![Value::I32(7)]), Outcome::Trapped(Trap::Memory)],
            items: vec![("g".to_owned(), Item::Global(Value::F32(1)))],
            host: Host::default(),
        }
    }

    fn place_of_difference(change: impl FnOnce(&mut Run)) -> Option<String> {
        let call =
            |export: &str| Call { export: export.to_owned(), arguments: vec![], results: vec![] };
        let plan = Plan { imports: vec![], calls: vec![call("first"), call("second")] };
        let mut other = a_run();
        change(&mut other);
        compare(&plan, ("one", &a_run()), ("other", &other)).err().map(|mismatch| mismatch.place)
    }

    #[test]
    fn every_difference_is_found() {
        assert_eq!(place_of_difference(|_| {}), None);
        let differ = |change: fn(&mut Run)| place_of_difference(change).expect("a difference");
        assert_eq!(differ(|run| run.start = Outcome::Trapped(Trap::Host)), "the start");
        let place = differ(|run| run.calls[0] = Outcome::Returned(vec![Value::I32(8)]));
        assert!(place.contains("\"first\""), "{place}");
        let place = differ(|run| run.calls[1] = Outcome::Trapped(Trap::Null));
        assert!(place.contains("\"second\""), "{place}");
        assert_eq!(differ(|run| run.items[0].1 = Item::Global(Value::F32(2))), "the end");
        assert_eq!(differ(|run| run.host.seen = 1), "what host functions saw");
        let place = differ(|run| run.items.push(("h".to_owned(), Item::Table(vec![]))));
        assert_eq!(place, "the number of imports and exports");
    }

    #[test]
    fn nothing_is_compared_after_a_stack_overflow() {
        let overflow = |run: &mut Run| {
            run.calls = vec![Outcome::Trapped(Trap::Stack)];
            run.host.seen = 1;
        };
        assert_eq!(place_of_difference(overflow), None);
        let wrong_before = |run: &mut Run| {
            run.calls = vec![Outcome::Trapped(Trap::Null), Outcome::Trapped(Trap::Stack)];
        };
        assert!(place_of_difference(wrong_before).is_some());
    }

    #[test]
    fn a_panic_is_a_refusal_with_its_message() {
        let plan = Plan { imports: vec![], calls: vec![] };
        let error = run(&plan, || panic!("as {} as", 1)).err().expect("a refusal");
        assert_eq!(error, "panicked: as 1 as");
    }

    #[test]
    fn tail_calls_of_the_host_are_found() {
        // (import "" "" (func)) (func (return_call N))
        let module = |callee: u8| {
            let mut wasm = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x05\x01\0\0\0\0\
                \x03\x02\x01\0\x0a\x06\x01\x04\0\x12"
                .to_vec();
            wasm.extend([callee, 0x0b]);
            wasm
        };
        assert!(tail_calls_the_host(&module(0)));
        assert!(!tail_calls_the_host(&module(1)));
    }
}
