//! Makes binaries byte by byte, so that they can be as wrong or as large as a
//! test wants.

pub(crate) const I32: u8 = 0x7f;

/// What every binary starts with.
pub(crate) const HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";

pub(crate) const TYPE: u8 = 1;
pub(crate) const FUNCTION: u8 = 3;
pub(crate) const MEMORY: u8 = 5;
pub(crate) const EXPORT: u8 = 7;
pub(crate) const CODE: u8 = 10;

pub(crate) const END: u8 = 0x0b;

/// A number as binaries have it.
pub(crate) fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// `bytes` with their length before them.
pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&leb(bytes.len() as u32), bytes].concat()
}

/// The items with their number before them.
pub(crate) fn vector(items: &[Vec<u8>]) -> Vec<u8> {
    [leb(items.len() as u32), items.concat()].concat()
}

/// A whole binary.
pub(crate) fn module(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for (id, section) in sections {
        bytes.push(*id);
        bytes.extend(sized(section));
    }
    bytes
}

/// A function type whose values are all `i32`.
pub(crate) fn func_type(params: u32, results: u32) -> Vec<u8> {
    let values = |count: u32| [leb(count), vec![I32; count as usize]].concat();
    [vec![0x60], values(params), values(results)].concat()
}

/// The code of a function with `locals` of type `i32`; `body` is without its end.
pub(crate) fn code(locals: u32, body: &[u8]) -> Vec<u8> {
    let locals = if locals == 0 { vec![0] } else { [vec![1], leb(locals), vec![I32]].concat() };
    sized(&[&locals, body, &[END]].concat())
}

/// The export of a function.
pub(crate) fn export(name: &str, function: u32) -> Vec<u8> {
    [sized(name.as_bytes()), vec![0], leb(function)].concat()
}

/// A module with one function, exported as `f`, and a memory of one page.
pub(crate) fn one_function(params: u32, results: u32, locals: u32, body: &[u8]) -> Vec<u8> {
    module(&[
        (TYPE, vector(&[func_type(params, results)])),
        (FUNCTION, vector(&[leb(0)])),
        (MEMORY, vector(&[vec![0, 1]])),
        (EXPORT, vector(&[export("f", 0)])),
        (CODE, vector(&[code(locals, body)])),
    ])
}
