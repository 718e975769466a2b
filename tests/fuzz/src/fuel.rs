//! Exports the global that bounds how long a module runs, so that each call can
//! start with the same amount.

use wasmparser::{Parser, Payload};

/// The name of the export.
pub(crate) const NAME: &str = "wasmprof fuel";

const EXPORT_SECTION: u8 = 7;

/// The module with its global `index` exported under [`NAME`].
pub(crate) fn export(wasm: &[u8], index: u32) -> Option<Vec<u8>> {
    let mut entry = Vec::new();
    leb(&mut entry, NAME.len() as u32);
    entry.extend(NAME.bytes());
    entry.push(3);
    leb(&mut entry, index);

    let mut out = wasm[..8].to_vec();
    let mut done = false;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        if let Payload::ExportSection(reader) = &payload {
            let count = reader.count();
            let old = &wasm[reader.range().start as usize..reader.range().end as usize];
            let old = &old[leb_len(old)..];
            section(&mut out, count + 1, &[old, &entry]);
            done = true;
            continue;
        }
        // Sections that follow the exports.
        let after = matches!(
            payload,
            Payload::StartSection { .. }
                | Payload::ElementSection(_)
                | Payload::DataCountSection { .. }
                | Payload::CodeSectionStart { .. }
                | Payload::DataSection(_)
                | Payload::End(_)
        );
        if after && !done {
            section(&mut out, 1, &[&entry]);
            done = true;
        }
        if let Some((id, range)) = payload.as_section() {
            out.push(id);
            leb(&mut out, (range.end - range.start) as u32);
            out.extend(&wasm[range.start as usize..range.end as usize]);
        }
    }
    Some(out)
}

fn section(out: &mut Vec<u8>, count: u32, parts: &[&[u8]]) {
    let mut body = Vec::new();
    leb(&mut body, count);
    for part in parts {
        body.extend(*part);
    }
    out.push(EXPORT_SECTION);
    leb(out, body.len() as u32);
    out.extend(body);
}

fn leb(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes the number at the start of `bytes` takes.
fn leb_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
}
