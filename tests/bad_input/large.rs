//! Very large input. What is within the limits that all engines share runs, by
//! both strategies; what is not is refused.

use crate::child::Folder;
use crate::wasm::{
    self, CODE, END, EXPORT, FUNCTION, HEADER, TYPE, code, export, func_type, leb, one_function,
    vector,
};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

const I32_CONST: u8 = 0x41;
const I32_ADD: u8 = 0x6a;
const I32_LOAD: u8 = 0x28;
const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const BLOCK: u8 = 0x02;
const LOOP: u8 = 0x03;
const IF: u8 = 0x04;
const BR_TABLE: u8 = 0x0e;
const CALL: u8 = 0x10;
const VOID: u8 = 0x40;

const MIB: u64 = 1 << 20;

#[test]
fn a_file_of_zeros_is_refused() {
    let folder = Folder::new();
    let file = File::create(folder.path("zeros.wasm")).unwrap();
    file.set_len(200 * MIB).unwrap();
    folder.refused(&["zeros.wasm"]);
}

#[test]
fn garbage_behind_a_header_is_refused() {
    let folder = Folder::new();
    let mut file = File::create(folder.path("garbage.wasm")).unwrap();
    file.write_all(&HEADER).unwrap();
    let mut state = 1_u64;
    let mut garbage = Vec::new();
    for _ in 0..MIB / 8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        garbage.extend(state.to_be_bytes());
    }
    file.write_all(&garbage).unwrap();
    file.seek(SeekFrom::Start(200 * MIB - 1)).unwrap();
    file.write_all(b"x").unwrap();
    let error = folder.refused(&["garbage.wasm"]);
    assert!(error.contains("at byte 0x"), "{error}");
}

/// A header and 200 MB of empty custom sections: odd, and a module.
#[test]
fn padding_is_no_harm() {
    let folder = Folder::new();
    let mut wasm = one_function(0, 1, 0, &[I32_CONST, 5]);
    let padding = vec![0_u8; 200 * MIB as usize];
    let section = [wasm::sized(b"padding"), padding].concat();
    wasm.push(0);
    wasm.extend(wasm::sized(&section));
    folder.write("padded.wasm", wasm);
    folder.runs("padded.wasm", &[], "5\n");
}

/// The optimiser of Cranelift takes time that grows with the square of the
/// depth, as does its register allocator for `if`: so not all of them are as
/// deep as they may be.
#[test]
fn blocks_may_be_nested_deeply() {
    const DEEP: usize = 10_000;
    const DEEPEST: usize = 100_000;
    let folder = Folder::new();
    let write = |file: &str, open: &[u8], depth: usize| {
        let body = [open.repeat(depth), vec![END; depth], vec![LOCAL_GET, 0]].concat();
        folder.write(file, one_function(1, 1, 0, &body));
    };
    let kinds: [(&str, &[u8]); 3] =
        [("block", &[BLOCK, VOID]), ("loop", &[LOOP, VOID]), ("if", &[LOCAL_GET, 0, IF, VOID])];
    for (kind, open) in kinds {
        let file = format!("{kind}.wasm");
        write(&file, open, DEEP);
        folder.runs(&file, &["7"], "7\n");
        if kind != "if" {
            write(&file, open, DEEPEST);
            folder.runs_by("fast", &file, &["7"], "7\n");
        }
    }
    let open = [BLOCK, VOID].repeat(DEEPEST);
    folder.write("open.wasm", one_function(0, 0, 0, &open));
    assert!(folder.refused(&["--invoke", "f", "open.wasm"]).contains("at byte 0x"));
}

#[test]
fn a_function_may_have_fifty_thousand_locals() {
    const MOST: u32 = 50_000;
    let folder = Folder::new();
    let set = |local: u32| [vec![LOCAL_GET, 0, LOCAL_SET], leb(local)].concat();
    let get = |local: u32| [vec![LOCAL_GET], leb(local), vec![I32_ADD]].concat();
    let few = [set(MOST - 1), vec![LOCAL_GET, 1], get(MOST - 1)].concat();
    folder.write("few.wasm", one_function(1, 1, MOST - 1, &few));
    folder.runs("few.wasm", &["9"], "9\n");
    let one_more = one_function(1, 1, MOST, &few);
    folder.write("more.wasm", one_more);
    assert!(folder.refused(&["--invoke", "f", "more.wasm", "9"]).contains("at byte 0x"));

    // Many that are alive across a loop that may run again.
    const ALIVE: u32 = 2_000;
    let mut body: Vec<u8> = (1..ALIVE).flat_map(set).collect();
    body.extend([LOOP, VOID]);
    for local in 1..ALIVE {
        body.extend([vec![LOCAL_GET], leb(local), vec![LOCAL_GET, 0, I32_ADD]].concat());
        body.extend([vec![LOCAL_SET], leb(local)].concat());
    }
    body.extend([
        LOCAL_GET, 1, I32_CONST, 4, 0x48, /* i32.lt_s */
        0x0d, /* br_if */
        0, END,
    ]);
    body.extend([I32_CONST, 0]);
    body.extend((1..ALIVE).flat_map(get));
    folder.write("alive.wasm", one_function(1, 1, ALIVE - 1, &body));
    // One more than the argument in each of the three turns.
    folder.runs("alive.wasm", &["1"], &format!("{}\n", 4 * (ALIVE - 1)));
}

#[test]
fn a_branch_may_have_a_hundred_thousand_targets() {
    const TARGETS: u32 = 100_000;
    let folder = Folder::new();
    let targets: Vec<u8> = (0..TARGETS).flat_map(|target| leb(target % 3)).collect();
    let body = [
        vec![BLOCK, VOID, BLOCK, VOID, BLOCK, VOID, LOCAL_GET, 0, BR_TABLE],
        leb(TARGETS),
        targets,
        leb(2),
        vec![END, I32_CONST, 10, 0x0f, END, I32_CONST, 11, 0x0f, END, I32_CONST, 12],
    ];
    folder.write("table.wasm", one_function(1, 1, 0, &body.concat()));
    for (argument, result) in [("0", "10\n"), ("99997", "11\n"), ("99998", "12\n"), ("-1", "12\n")]
    {
        folder.runs("table.wasm", &[argument], result);
    }
}

#[test]
fn a_body_may_have_a_megabyte() {
    let folder = Folder::new();
    // x = x * 3 + 1, as long as it takes.
    let step = [LOCAL_GET, 0, I32_CONST, 3, 0x6c, I32_CONST, 1, I32_ADD, LOCAL_SET, 0];
    let steps = MIB as usize / step.len() + 1;
    let expected = (0..steps).fold(1_i32, |x, _| x.wrapping_mul(3).wrapping_add(1));
    let body = [step.repeat(steps), vec![LOCAL_GET, 0]].concat();
    assert!(body.len() as u64 > MIB);
    folder.write("long.wasm", one_function(1, 1, 0, &body));
    folder.runs("long.wasm", &["1"], &format!("{expected}\n"));
    let too_long = [vec![1; 8 * MIB as usize], vec![LOCAL_GET, 0]].concat();
    folder.write("too_long.wasm", one_function(1, 1, 0, &too_long));
    assert!(folder.refused(&["--invoke", "f", "too_long.wasm", "1"]).contains("at byte 0x"));
}

#[test]
fn the_operand_stack_may_be_deep() {
    let folder = Folder::new();
    const SAME: usize = 100_000;
    let body = [[LOCAL_GET, 0].repeat(SAME), vec![I32_ADD; SAME - 1]].concat();
    folder.write("same.wasm", one_function(1, 1, 0, &body));
    folder.runs("same.wasm", &["2"], &format!("{}\n", 2 * SAME));
    // All different for the compiler: a store between could change them.
    const LOADS: usize = 5_000;
    let mut body = Vec::new();
    for _ in 0..LOADS {
        body.extend([I32_CONST, 0, I32_CONST, 0, I32_LOAD, 2, 0, I32_CONST, 1, I32_ADD]);
        body.extend([0x36, 2, 0, I32_CONST, 0, I32_LOAD, 2, 0]);
    }
    body.extend(vec![I32_ADD; LOADS - 1]);
    folder.write("loads.wasm", one_function(0, 1, 0, &body));
    folder.runs("loads.wasm", &[], &format!("{}\n", LOADS * (LOADS + 1) / 2));
}

#[test]
fn a_function_may_take_and_return_a_thousand_values() {
    const MOST: u32 = 1_000;
    let folder = Folder::new();
    let reverse: Vec<u8> =
        (0..MOST).rev().flat_map(|local| [vec![LOCAL_GET], leb(local)].concat()).collect();
    let call = [vec![CALL], leb(1)].concat();
    // `f` turns its arguments around twice, by way of another function.
    let body = [
        (0..MOST).flat_map(|local| [vec![LOCAL_GET], leb(local)].concat()).collect(),
        call.clone(),
        call,
    ];
    let wasm = wasm::module(&[
        (TYPE, vector(&[func_type(MOST, MOST)])),
        (FUNCTION, vector(&[leb(0), leb(0)])),
        (EXPORT, vector(&[export("f", 0)])),
        (CODE, vector(&[code(0, &body.concat()), code(0, &reverse)])),
    ]);
    folder.write("wide.wasm", wasm);
    let arguments: Vec<String> = (0..MOST).map(|number| (number * 3).to_string()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    folder.runs("wide.wasm", &arguments, &format!("{}\n", arguments.join("\n")));

    folder.write("params.wasm", one_function(MOST + 1, 0, 0, &[]));
    assert!(folder.refused(&["--invoke", "f", "params.wasm"]).contains("at byte 0x"));
    let results = [I32_CONST, 0].repeat(MOST as usize + 1);
    folder.write("results.wasm", one_function(0, MOST + 1, 0, &results));
    assert!(folder.refused(&["--invoke", "f", "results.wasm"]).contains("at byte 0x"));
}

#[test]
fn a_module_may_have_a_hundred_thousand_functions() {
    const FUNCTIONS: u32 = 100_000;
    let folder = Folder::new();
    let bodies: Vec<Vec<u8>> = (0..FUNCTIONS)
        .map(|index| match index {
            0 => code(0, &[I32_CONST, 3]),
            // Some call others that are far away.
            _ if index % 1_000 == 0 => code(0, &[vec![CALL], leb(index - 1_000)].concat()),
            _ => code(0, &[I32_CONST, 4]),
        })
        .collect();
    let wasm = wasm::module(&[
        (TYPE, vector(&[func_type(0, 1)])),
        (FUNCTION, vector(&vec![leb(0); FUNCTIONS as usize])),
        (EXPORT, vector(&[export("f", FUNCTIONS - 1_000)])),
        (CODE, vector(&bodies)),
    ]);
    folder.write("many.wasm", wasm);
    folder.runs("many.wasm", &[], "3\n");
}
