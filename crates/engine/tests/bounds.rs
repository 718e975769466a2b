//! Accesses at the edges of memories: every width, offsets up to the largest,
//! all kinds of memories, both strategies, with guards and with checks. What has
//! to happen is computed with numbers that do not wrap.

use std::sync::atomic::{AtomicU8, Ordering};
use wasmprof_engine::*;

/// What an operator does with the bytes that it accesses.
#[derive(Clone, Copy, PartialEq)]
enum Effect {
    Read,
    ReadSigned,
    Write,
    Add,
    /// The old value is not used.
    AddOnly,
    And,
    Exchange,
    /// The value expected is another one.
    Compare,
}
use Effect::*;

/// Operators with their size in bytes. `@` is the static offset and `#` the
/// index. All leave an `i64`; what is stored is [`VALUE`].
const OPERATORS: &[(&str, u64, Effect)] = &[
    ("(i64.extend_i32_u (i32.load8_u @ #))", 1, Read),
    ("(i64.load8_s @ #)", 1, ReadSigned),
    ("(i64.extend_i32_u (i32.load16_u @ #))", 2, Read),
    ("(i64.load16_s @ #)", 2, ReadSigned),
    ("(i64.extend_i32_u (i32.load @ #))", 4, Read),
    ("(i64.extend_i32_s (i32.load @ #))", 4, ReadSigned),
    ("(i64.load32_s @ #)", 4, ReadSigned),
    ("(i64.load @ #)", 8, Read),
    ("(i64.extend_i32_u (i32.reinterpret_f32 (f32.load @ #)))", 4, Read),
    ("(i64.reinterpret_f64 (f64.load @ #))", 8, Read),
    ("(i32.store8 @ # (i32.const 0x44332211)) (i64.const 0)", 1, Write),
    ("(i64.store16 @ # (i64.const 0x8877665544332211)) (i64.const 0)", 2, Write),
    ("(i32.store @ # (i32.const 0x44332211)) (i64.const 0)", 4, Write),
    ("(i64.store32 @ # (i64.const 0x8877665544332211)) (i64.const 0)", 4, Write),
    ("(i64.store @ # (i64.const 0x8877665544332211)) (i64.const 0)", 8, Write),
    ("(f32.store @ # (f32.reinterpret_i32 (i32.const 0x44332211))) (i64.const 0)", 4, Write),
    (
        "(f64.store @ # (f64.reinterpret_i64 (i64.const 0x8877665544332211))) (i64.const 0)",
        8,
        Write,
    ),
];

/// Atomic operators, as above.
const ATOMICS: &[(&str, u64, Effect)] = &[
    ("(i64.extend_i32_u (i32.atomic.load8_u @ #))", 1, Read),
    ("(i64.atomic.load16_u @ #)", 2, Read),
    ("(i64.atomic.load32_u @ #)", 4, Read),
    ("(i64.atomic.load @ #)", 8, Read),
    ("(i32.atomic.store8 @ # (i32.const 0x44332211)) (i64.const 0)", 1, Write),
    ("(i64.atomic.store16 @ # (i64.const 0x8877665544332211)) (i64.const 0)", 2, Write),
    ("(i32.atomic.store @ # (i32.const 0x44332211)) (i64.const 0)", 4, Write),
    ("(i64.atomic.store @ # (i64.const 0x8877665544332211)) (i64.const 0)", 8, Write),
    ("(i64.atomic.rmw8.add_u @ # (i64.const 0x8877665544332211))", 1, Add),
    ("(i64.extend_i32_u (i32.atomic.rmw16.add_u @ # (i32.const 0x44332211)))", 2, Add),
    ("(i64.atomic.rmw.add @ # (i64.const 0x8877665544332211))", 8, Add),
    ("(drop (i32.atomic.rmw.add @ # (i32.const 0x44332211))) (i64.const 0)", 4, AddOnly),
    ("(drop (i64.atomic.rmw8.add_u @ # (i64.const 0x8877665544332211))) (i64.const 0)", 1, AddOnly),
    ("(i64.atomic.rmw8.and_u @ # (i64.const 0x8877665544332211))", 1, And),
    ("(i64.atomic.rmw16.and_u @ # (i64.const 0x8877665544332211))", 2, And),
    ("(i64.extend_i32_u (i32.atomic.rmw.and @ # (i32.const 0x44332211)))", 4, And),
    ("(i64.atomic.rmw.and @ # (i64.const 0x8877665544332211))", 8, And),
    ("(i64.atomic.rmw32.xchg_u @ # (i64.const 0x8877665544332211))", 4, Exchange),
    ("(i64.atomic.rmw.xchg @ # (i64.const 0x8877665544332211))", 8, Exchange),
    ("(i64.atomic.rmw8.cmpxchg_u @ # (i64.const 0) (i64.const 1))", 1, Compare),
    ("(i64.atomic.rmw16.cmpxchg_u @ # (i64.const 0) (i64.const 1))", 2, Compare),
    ("(i64.atomic.rmw32.cmpxchg_u @ # (i64.const 0) (i64.const 1))", 4, Compare),
    ("(i64.atomic.rmw.cmpxchg @ # (i64.const 0) (i64.const 1))", 8, Compare),
];

const VALUE: u64 = 0x8877_6655_4433_2211;

/// How the index comes to an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// As a parameter.
    Parameter,
    /// As a parameter plus this, which may wrap.
    Sum(u64),
    /// As a constant.
    Constant(u64),
}
use Shape::*;

/// A memory and a function for each operator and offset in it.
struct Machine {
    store: Store<()>,
    instance: Instance,
    memory: Extern,
    length: u64,
    index: IndexType,
}

/// An operator with what goes into it.
#[derive(Clone, Copy)]
struct Access {
    operator: (&'static str, u64, Effect),
    offset: u64,
    shape: Shape,
}

impl Machine {
    fn new(engine: &Engine, ty: MemoryType, accesses: &[Access]) -> Result<Machine, Error> {
        let (idx, index) = match ty.index {
            IndexType::I32 => ("i32", ""),
            IndexType::I64 => ("i64", "i64"),
        };
        let maximum = ty.maximum.map_or(String::new(), |maximum| maximum.to_string());
        let shared = if ty.shared { "shared" } else { "" };
        let page = ty.page_size();
        let minimum = ty.minimum;
        let mut wat = format!(
            r#"(module (memory (export "m") {index} {minimum} {maximum} {shared} (pagesize {page}))"#
        );
        for (number, Access { operator: (text, ..), offset, shape }) in accesses.iter().enumerate()
        {
            let index = match shape {
                Parameter => "(local.get 0)".to_owned(),
                Sum(more) => format!("({idx}.add (local.get 0) ({idx}.const {more}))"),
                Constant(index) => format!("({idx}.const {index})"),
            };
            let body = text.replace('@', &format!("offset={offset}")).replace('#', &index);
            wat.push_str(&format!(
                r#"(func (export "{number}") (param {idx}) (result i64) {body})"#
            ));
        }
        wat.push(')');
        let module = Module::new(engine, wat)?;
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_export(&mut store, "m").expect("exported");
        let length = ty.minimum_bytes().expect("it fits");
        Ok(Machine { store, instance, memory, length, index: ty.index })
    }

    /// Bytes of the memory; what is not inside is left out.
    fn bytes(&self, start: u64, end: u64) -> Vec<u8> {
        let range = start.min(self.length) as usize..end.min(self.length) as usize;
        match &self.memory {
            Extern::Memory(memory) => memory.data(&self.store)[range].to_vec(),
            Extern::SharedMemory(memory) => {
                // SAFETY: the bytes are inside, and nobody else uses them.
                let load = |cell: &std::cell::UnsafeCell<u8>| unsafe {
                    AtomicU8::from_ptr(cell.get()).load(Ordering::SeqCst)
                };
                memory.data()[range].iter().map(load).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn fill(&mut self, start: u64, end: u64) {
        for at in start.min(self.length)..end.min(self.length) {
            // Neighbours differ, the highest bit is set, and none is zero.
            let byte = (at.wrapping_mul(37) as u8) | 0x81;
            match &self.memory {
                Extern::Memory(memory) => memory.data_mut(&mut self.store)[at as usize] = byte,
                Extern::SharedMemory(memory) => {
                    let cell = memory.data()[at as usize].get();
                    // SAFETY: the byte is inside.
                    unsafe { AtomicU8::from_ptr(cell) }.store(byte, Ordering::SeqCst);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Makes an access and compares with what it should do. `index` is what
    /// arrives at the operator.
    fn check(&mut self, number: usize, access: &Access, index: u64, context: &str) {
        let Access { operator: (text, size, effect), offset, shape } = *access;
        let argument = match shape {
            Sum(more) => index.wrapping_sub(more),
            Parameter | Constant(_) => index,
        };
        let argument = match self.index {
            IndexType::I32 => Val::I32(argument as i32),
            IndexType::I64 => Val::I64(argument as i64),
        };
        let address = u128::from(index) + u128::from(offset);
        let end = address + u128::from(size);
        let aligned = address % u128::from(size) == 0;
        let expected = if text.contains("atomic") && !aligned {
            Err(TrapCode::UnalignedAtomic)
        } else if end > u128::from(self.length) {
            Err(TrapCode::MemoryOutOfBounds)
        } else {
            Ok((address as u64, end as u64))
        };
        // Around the access, or where it would be if sums wrapped.
        let around = (address as u64).saturating_sub(8);
        let behind = around.saturating_add(32);
        self.fill(around, behind);
        let mut wanted = self.bytes(around, behind);
        let func = self.instance.get_func(&mut self.store, &number.to_string()).expect("exported");
        let mut results = [Val::I64(0)];
        let outcome = func.call(&mut self.store, &[argument], &mut results);
        let what =
            format!("{text} with offset {offset:#x}, index {index:#x} ({shape:?}) {context}");
        match (expected, outcome) {
            (Err(code), Err(error)) => {
                assert_eq!(error.trap().map(|trap| trap.code), Some(code), "{what}: {error}");
            }
            (Ok((address, end)), Ok(())) => {
                let place = (address - around) as usize..(end - around) as usize;
                let mut wide = [0; 8];
                wide[..size as usize].copy_from_slice(&wanted[place.clone()]);
                let old = u64::from_le_bytes(wide);
                let (result, new) = match effect {
                    Read | Compare => (old, old),
                    ReadSigned => {
                        let unused = 64 - 8 * size as u32;
                        (((old << unused) as i64 >> unused) as u64, old)
                    }
                    Write => (0, VALUE),
                    Add => (old, old.wrapping_add(VALUE)),
                    AddOnly => (0, old.wrapping_add(VALUE)),
                    And => (old, old & VALUE),
                    Exchange => (old, VALUE),
                };
                wanted[place].copy_from_slice(&new.to_le_bytes()[..size as usize]);
                assert_eq!(results[0].i64(), Some(result as i64), "{what}");
            }
            (expected, outcome) => panic!("{what}: expected {expected:x?}, got {outcome:?}"),
        }
        assert_eq!(self.bytes(around, behind), wanted, "{what}: the bytes from {around:#x} on");
    }
}

/// Indices at which something changes.
fn indices(ty: IndexType, length: u64, offset: u64, size: u64) -> Vec<u64> {
    let last = length.wrapping_sub(offset).wrapping_sub(size);
    let from_top = 0u64.wrapping_sub(offset).wrapping_sub(size);
    let mut all = vec![0, 1, 8, 1 << 31, 1 << 32, 1 << 63];
    for edge in
        [last, length, from_top, 0u64.wrapping_sub(offset), 0, (1 << 32) - offset % (1 << 32)]
    {
        all.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
        all.push(edge.wrapping_sub(1) & !7);
    }
    if ty == IndexType::I32 {
        all.retain(|index| u32::try_from(*index).is_ok());
    }
    all.sort_unstable();
    all.dedup();
    all
}

const NARROW_OFFSETS: &[u64] = &[
    0,
    1,
    4,
    65_528,
    65_536,
    (32 << 20) - 8,
    (32 << 20) + 8,
    (1 << 31) - 9,
    (1 << 31) - 8,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 8,
    3 << 30,
    (1 << 32) - 65_536,
    (1 << 32) - 16,
    (1 << 32) - 8,
    (1 << 32) - 2,
    (1 << 32) - 1,
];

const WIDE_OFFSETS: &[u64] = &[
    1 << 32,
    (1 << 32) + 65_528,
    (1 << 32) + 65_536,
    (1 << 36) - 8,
    1 << 47,
    (1 << 63) - 8,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 65_536,
    u64::MAX - 8,
    u64::MAX - 7,
    u64::MAX - 3,
    u64::MAX - 1,
    u64::MAX,
];

fn engines() -> impl Iterator<Item = (String, Engine)> {
    let strategies = [Strategy::Optimized, Strategy::Fast];
    strategies.into_iter().flat_map(|strategy| {
        [true, false].into_iter().map(move |guarded| {
            // Neither has to do with the other, and one run does for both.
            let config = Config::new().strategy(strategy).guarded_memories(guarded);
            let config = config.native_features(guarded);
            let name = format!("({strategy:?}, guarded: {guarded})");
            (name, Engine::new(config).expect("an engine"))
        })
    })
}

/// All operators at all edges of a memory.
fn check_all(ty: MemoryType, operators: &[&[(&'static str, u64, Effect)]]) -> Result<(), Error> {
    let length = ty.minimum_bytes().expect("it fits");
    let wide = if ty.index == IndexType::I64 { WIDE_OFFSETS } else { &[] };
    let mut accesses = Vec::new();
    for operator in operators.iter().copied().flatten().copied() {
        for offset in NARROW_OFFSETS.iter().chain(wide).copied() {
            let all = indices(ty.index, length, offset, operator.1);
            // Sums are simplified where the address is made, which is the same
            // for atomic operators.
            let atomic = operator.0.contains("atomic");
            let sums = [Sum(0x7fff_fff9), Sum(0xffff_fff8)].into_iter().filter(|_| !atomic);
            for shape in sums.chain([Parameter]) {
                accesses.push((Access { operator, offset, shape }, all.clone()));
            }
            // A function for each is costly: only those at edges of the memory.
            for index in all.iter().copied().filter(|index| {
                index.wrapping_add(offset).wrapping_sub(length).wrapping_add(16) < 32
            }) {
                accesses.push((Access { operator, offset, shape: Constant(index) }, vec![index]));
            }
        }
    }
    let functions: Vec<Access> = accesses.iter().map(|it| it.0).collect();
    for (name, engine) in engines() {
        let mut machine = Machine::new(&engine, ty, &functions)?;
        let context = format!("in a {ty} {name}", ty = ExternType::Memory(ty));
        for (number, (access, indices)) in accesses.iter().enumerate() {
            for index in indices {
                machine.check(number, access, *index, &context);
            }
        }
    }
    Ok(())
}

#[test]
fn small_memories() -> Result<(), Error> {
    check_all(MemoryType::new(1, Some(2)), &[OPERATORS, ATOMICS])
}

/// Here large offsets are inside.
#[test]
fn memories_of_four_gibibytes() -> Result<(), Error> {
    check_all(MemoryType::new(1 << 16, None), &[OPERATORS, ATOMICS])
}

#[test]
fn small_memories_with_wide_indices() -> Result<(), Error> {
    check_all(MemoryType::new(1, None).memory64(), &[OPERATORS, ATOMICS])
}

/// Never growing, the length is a constant.
#[test]
fn memories_that_never_grow() -> Result<(), Error> {
    check_all(MemoryType::new(2, Some(2)), &[&OPERATORS[4..15]])?;
    check_all(MemoryType::new(2, Some(2)).memory64(), &[&OPERATORS[4..15]])
}

#[test]
fn memories_beyond_four_gibibytes() -> Result<(), Error> {
    check_all(MemoryType::new((1 << 16) + 1, None).memory64(), &[OPERATORS, ATOMICS])
}

#[test]
fn memories_with_pages_of_one_byte() -> Result<(), Error> {
    for length in [0, 7, 65_533] {
        let ty = MemoryType::new(length, None).page_size_log2(0);
        check_all(ty, &[&OPERATORS[4..15]])?;
        check_all(ty.memory64(), &[&OPERATORS[4..15], &ATOMICS[..10]])?;
    }
    Ok(())
}

#[test]
fn shared_memories() -> Result<(), Error> {
    check_all(MemoryType::new(1, Some(2)).shared(), &[&OPERATORS[4..15], ATOMICS])?;
    check_all(MemoryType::new(1, Some(2)).shared().memory64(), &[&OPERATORS[4..15], ATOMICS])
}

/// What the runtime computes itself: waiting, notifying, bulk operations.
#[test]
fn operators_of_the_runtime_do_not_wrap() -> Result<(), Error> {
    let wat = r#"(module
        (memory (export "m") i64 1 1 shared)
        (data $d "abcdefgh")
        (func (export "notify") (param i64) (result i32)
            (memory.atomic.notify offset=0xfffffffffffffff8 (local.get 0) (i32.const 1)))
        (func (export "wait32") (param i64) (result i32)
            (memory.atomic.wait32 offset=65532 (local.get 0) (i32.const 1) (i64.const 0)))
        (func (export "wait64") (param i64) (result i32)
            (memory.atomic.wait64 offset=0x8000000000000000
                (local.get 0) (i64.const 1) (i64.const 0)))
        (func (export "fill") (param i64 i64)
            (memory.fill (local.get 0) (i32.const 1) (local.get 1)))
        (func (export "copy") (param i64 i64 i64)
            (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init") (param i64 i32 i32)
            (memory.init $d (local.get 0) (local.get 1) (local.get 2))))"#;
    for (name, engine) in engines() {
        let module = Module::new(&engine, wat)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let mut call = |function: &str, args: &[i64]| -> Result<Option<i32>, TrapCode> {
            let func = instance.get_func(&mut store, function).expect("exported");
            let ty = func.ty(&store);
            let args = args.iter().zip(ty.params()).map(|(arg, ty)| match ty {
                ValType::I32 => Val::I32(*arg as i32),
                _ => Val::I64(*arg),
            });
            let args: Vec<Val> = args.collect();
            let mut results = vec![Val::I32(0); ty.results().len()];
            let outcome = func.call(&mut store, &args, &mut results);
            outcome.map_err(|error| error.trap().expect("a trap").code)?;
            Ok(results.first().and_then(Val::i32))
        };
        let (outside, unaligned) =
            (Err(TrapCode::MemoryOutOfBounds), Err(TrapCode::UnalignedAtomic));
        assert_eq!(call("notify", &[0]), outside, "{name}");
        assert_eq!(call("notify", &[8]), outside, "{name}");
        assert_eq!(call("notify", &[1]), unaligned, "{name}");
        assert_eq!(call("wait32", &[0]), Ok(Some(1)), "{name}");
        assert_eq!(call("wait32", &[4]), outside, "{name}");
        assert_eq!(call("wait32", &[-65532]), outside, "{name}");
        assert_eq!(call("wait32", &[-1]), unaligned, "{name}");
        assert_eq!(call("wait64", &[i64::MIN]), outside, "{name}");
        assert_eq!(call("wait64", &[4]), unaligned, "{name}");
        assert_eq!(call("fill", &[65536, 0]), Ok(None), "{name}");
        for (start, len) in [(65537, 0), (-1, 2), (1, -1), (i64::MIN, i64::MIN), (0, 65537)] {
            assert_eq!(call("fill", &[start, len]), outside, "{name}");
            assert_eq!(call("copy", &[start, 0, len]), outside, "{name}");
            assert_eq!(call("copy", &[0, start, len]), outside, "{name}");
        }
        assert_eq!(call("init", &[65528, 0, 8]), Ok(None), "{name}");
        assert_eq!(call("init", &[65529, 0, 8]), outside, "{name}");
        assert_eq!(call("init", &[-4, 0, 8]), outside, "{name}");
        assert_eq!(call("init", &[0, 1, -1]), outside, "{name}");
    }
    Ok(())
}
