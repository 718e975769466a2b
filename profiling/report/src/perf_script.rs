//! Reads the text that `perf script` prints of a recording made with call graphs. It takes
//! perf's default fields; it does not look symbols up and does not demangle.

use std::collections::BTreeMap;

use crate::{Frame, Origin, Stacks, Unit};

/// Merges samples with equal stacks. Lines that are not of a sample are passed over.
pub fn collapse(text: &str) -> Stacks<'_> {
    let mut merged = BTreeMap::<Vec<Frame<'_>>, u64>::new();
    let mut unit = None;
    let mut sample: Option<(Header<'_>, Vec<Frame<'_>>)> = None;
    let mut pending = 0;
    for line in text.lines().chain([""]) {
        if line.starts_with(char::is_whitespace) && !line.trim().is_empty() {
            if let (Some((_, frames)), Some(frame)) = (&mut sample, parse_frame(line)) {
                // perf prints inlined frames before the one that holds their code, and
                // without its file.
                let inlined = frames.iter_mut().rev().take(pending);
                inlined.for_each(|inner| inner.origin = frame.origin);
                pending = if line.ends_with(" (inlined)") { pending + 1 } else { 0 };
                frames.push(frame);
            }
            continue;
        }
        if let Some((header, mut frames)) = sample.take() {
            frames.push(Frame { name: header.thread, origin: Origin::Thread });
            frames.reverse();
            *merged.entry(frames).or_default() += header.weight;
            // Weights of different units cannot be added up; call them samples then.
            unit = match unit {
                None => Some(header.unit),
                Some(unit) if unit == header.unit => Some(unit),
                Some(_) => Some(Unit::Samples),
            };
        }
        pending = 0;
        sample = parse_header(line).map(|header| (header, Vec::new()));
    }
    Stacks { stacks: merged.into_iter().collect(), unit: unit.unwrap_or_default() }
}

struct Header<'a> {
    thread: &'a str,
    weight: u64,
    unit: Unit,
}

/// `comm pid [cpu] seconds: period event:`, where the name of the thread may have spaces
/// in it, pid may be pid/tid, and cpu and period may be absent.
fn parse_header(line: &str) -> Option<Header<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let (before, after) = split_at_time(line)?;
    let before = before.trim_end();
    let before = match before.rsplit_once(' ') {
        Some((rest, cpu)) if cpu.starts_with('[') => rest.trim_end(),
        _ => before,
    };
    let (thread, id) = before.rsplit_once(' ')?;
    if !id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/') {
        return None;
    }
    let mut fields = after.split_whitespace();
    let first = fields.next()?;
    let (weight, event) = match first.parse::<u64>() {
        Ok(period) => (Some(period), fields.next().unwrap_or_default()),
        Err(_) => (None, first),
    };
    let clock = event.contains("cpu-clock") || event.contains("task-clock");
    Some(Header {
        thread: thread.trim(),
        weight: weight.unwrap_or(1),
        unit: if clock && weight.is_some() { Unit::Nanoseconds } else { Unit::Samples },
    })
}

/// Splits a line around its time, a field of digits, a point, digits and a colon.
fn split_at_time(line: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    while let Some(colon) = line[from..].find(": ") {
        let end = from + colon;
        let start = line[..end].rfind(' ').map_or(0, |space| space + 1);
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((whole, fraction)) = line[start..end].split_once('.')
            && digits(whole)
            && digits(fraction)
        {
            return Some((&line[..start], &line[end + 2..]));
        }
        from = end + 2;
    }
    None
}

/// `address symbol+offset (file)`, where the symbol may have spaces and parentheses.
fn parse_frame(line: &str) -> Option<Frame<'_>> {
    let (address, rest) = line.trim().split_once(' ')?;
    if !address.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let (symbol, file) = match rest.rsplit_once(" (") {
        Some((symbol, file)) => (symbol.trim(), file.trim_end_matches(')')),
        None => (rest.trim(), ""),
    };
    let name = match symbol.rsplit_once("+0x") {
        Some((name, offset)) if offset.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => symbol,
    };
    let origin = origin(file, address);
    // A frame without a symbol is better named by its file than not at all.
    let name = match name {
        "[unknown]" | "" if origin == Origin::Kernel => "[kernel]",
        "[unknown]" | "" => file_name(file).unwrap_or("[unknown]"),
        name => name,
    };
    Some(Frame { name, origin })
}

fn file_name(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    (!name.is_empty() && name != "[unknown]").then_some(name)
}

fn origin(file: &str, address: &str) -> Origin {
    // The upper half of the address space is the kernel's, whatever the file is called.
    let kernel_address = address.len() == 16 && address.starts_with("ffff");
    if file.starts_with("[kernel")
        || file.starts_with("[guest.kernel")
        || file.ends_with(".ko")
        || kernel_address
    {
        return Origin::Kernel;
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let between = |start: &str, end: &str| name.starts_with(start) && name.ends_with(end);
    if between("perf-", ".map")
        || between("jitted-", ".so")
        || between("wasmprof-", ".so")
        || name.ends_with(".wasm.so")
    {
        return Origin::Wasm;
    }
    Origin::Host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(line: &str) -> (&str, Origin) {
        let frame = parse_frame(line).expect("it is a frame");
        (frame.name, frame.origin)
    }

    #[test]
    fn frames() {
        assert_eq!(frame("\t 7f0011 fib+0x1f (/tmp/perf-12.map)"), ("fib", Origin::Wasm));
        assert_eq!(
            frame("\t 7f0011 a::b(int, char (*) [2])+0x1 (/tmp/jitted-1-2.so)"),
            ("a::b(int, char (*) [2])", Origin::Wasm)
        );
        assert_eq!(frame("\t 55 main (/usr/bin/wasmprof)"), ("main", Origin::Host));
        assert_eq!(frame("\t 55 [unknown] (/lib/libc.so.6)"), ("libc.so.6", Origin::Host));
        assert_eq!(frame("\t 55 [unknown] ([unknown])"), ("[unknown]", Origin::Host));
        assert_eq!(
            frame("\tffffffff81000000 do_idle+0x0 ([kernel.kallsyms])"),
            ("do_idle", Origin::Kernel)
        );
        assert_eq!(frame("\tffffffff81000000 [unknown] ([unknown])"), ("[kernel]", Origin::Kernel));
        assert_eq!(frame("\t 7f operator+ (/tmp/perf-12.map)"), ("operator+", Origin::Wasm));
    }

    #[test]
    fn headers() {
        let header =
            parse_header("wasmprof 12/13 [001] 99.123456:    1003009 cpu-clock:pppH: ").unwrap();
        assert_eq!(
            (header.thread, header.weight, header.unit),
            ("wasmprof", 1_003_009, Unit::Nanoseconds)
        );
        let header = parse_header("a b: c 12 99.1: cycles: ").unwrap();
        assert_eq!((header.thread, header.weight, header.unit), ("a b: c", 1, Unit::Samples));
        assert!(parse_header("# captured on: 1.2: x").is_none());
        assert!(parse_header("no header at all").is_none());
    }

    #[test]
    fn equal_stacks_are_merged() {
        let text = "w 1 1.0: 5 cpu-clock: \n\t 2 b+0x0 (/tmp/perf-1.map)\n\t 1 a+0x0 (/tmp/perf-1.map)\n\n\
                    w 1 1.1: 6 cpu-clock: \n\t 3 b+0x1 (/tmp/perf-1.map)\n\t 1 a+0x0 (/tmp/perf-1.map)\n\n\
                    w 1 1.2: 7 cpu-clock: \n\t 1 a+0x0 (/tmp/perf-1.map)\n";
        let stacks = collapse(text);
        assert_eq!(stacks.folded(), "w;a 7\nw;a;b 11\n");
        assert_eq!(stacks.unit, Unit::Nanoseconds);
        assert_eq!(stacks.total(), 18);
    }

    #[test]
    fn inlined_frames_are_of_the_origin_of_what_holds_them() {
        let text = "w 1 1.0: 5 cpu-clock: \n\t 3 c (inlined)\n\t 3 b (inlined)\n\t 3 a+0x0 (/tmp/perf-1.map)\n\t 1 m+0x0 (/bin/w)\n";
        let stacks = collapse(text);
        let origins =
            stacks.stacks[0].0.iter().map(|frame| (frame.name, frame.origin)).collect::<Vec<_>>();
        assert_eq!(
            origins,
            [
                ("w", Origin::Thread),
                ("m", Origin::Host),
                ("a", Origin::Wasm),
                ("b", Origin::Wasm),
                ("c", Origin::Wasm),
            ]
        );
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(collapse(""), Stacks::default());
        assert_eq!(collapse("\t 1 a (b)\n\n"), Stacks::default());
    }
}
