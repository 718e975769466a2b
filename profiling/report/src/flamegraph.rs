//! Draws a flame graph as one SVG file that needs nothing else: frames of WebAssembly, host
//! and kernel in colours apart, a title with the share of each, and a little script for
//! zoom and search. Without the script it is a readable picture still. The
//! outermost frames are on top, so that a few deep stacks do not push them out of sight.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Frame, Origin, Stacks, Unit};

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 17.0;
const ABOVE: f64 = 52.0;
const BELOW: f64 = 10.0;
/// The width of a character, a little more than that of those in the fonts asked for.
const CHARACTER: f64 = 7.3;
/// Frames narrower than this are left out, and with them all that they called.
const NARROWEST: f64 = 0.15;

/// Draws the stacks below the title.
pub fn render(stacks: &Stacks<'_>, title: &str) -> String {
    let total = stacks.total();
    let tree = Tree::of(stacks);
    let scale = (WIDTH - 2.0 * MARGIN) / total.max(1) as f64;
    let mut drawing = Drawing { scale, total, unit: stacks.unit, boxes: Vec::new(), left_out: 0 };
    drawing.place(&tree);
    let rows = drawing.boxes.iter().map(|frame| frame.depth + 1).max().unwrap_or(1);
    let height = ABOVE + rows as f64 * ROW + BELOW;

    let mut svg = String::new();
    let head = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" data-left="{MARGIN}" data-width="{}">
<title>{}</title>
<style>
svg {{ background: #fdfcfa; font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
text {{ fill: #1b1b1b; pointer-events: none; white-space: pre; }}
.h {{ font: 600 16px system-ui, "DejaVu Sans", sans-serif; }}
.s {{ font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #555; }}
.b {{ font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #0b57a4; cursor: pointer; pointer-events: all; }}
.f {{ cursor: pointer; }}
.f rect {{ stroke: #fdfcfa; stroke-width: .7; }}
.f:hover rect {{ stroke: #1b1b1b; }}
.f.p {{ opacity: .55; }}
.f.m rect {{ fill: #c45bd6; }}
</style>
<rect width="100%" height="100%" fill="#fdfcfa"/>
<text class="h" x="{MARGIN}" y="22">{}</text>
"##,
        WIDTH - 2.0 * MARGIN,
        escape(title),
        escape(&fitted(title, 700.0)),
    );
    svg.push_str(&head);
    legend(&mut svg);
    writeln!(
        svg,
        r#"<text class="s" id="info" x="270" y="39">{}</text>"#,
        escape(&drawing.summary())
    )
    .expect(INFALLIBLE);
    writeln!(
        svg,
        "<text class=\"b\" id=\"reset\" x=\"{}\" y=\"22\" text-anchor=\"end\" visibility=\"hidden\">Reset zoom</text>\n\
         <text class=\"b\" id=\"search\" x=\"{}\" y=\"22\" text-anchor=\"end\">Search</text>",
        WIDTH - 70.0,
        WIDTH - MARGIN,
    )
    .expect(INFALLIBLE);
    svg.push_str("<g id=\"frames\">\n");
    for frame in &drawing.boxes {
        let y = ABOVE + frame.depth as f64 * ROW;
        frame.draw(&mut svg, y, &drawing);
    }
    svg.push_str("</g>\n<script><![CDATA[\n");
    svg.push_str(include_str!("flamegraph.js"));
    svg.push_str("]]></script>\n</svg>\n");
    svg
}

const INFALLIBLE: &str = "writing to a string does not fail";

/// A call tree. Nodes name their children by index, so that no depth is too much for the
/// stack of this thread; children are in the order of their frames, so that equal profiles
/// give equal pictures.
struct Tree<'a>(Vec<Node<'a>>);

#[derive(Default)]
struct Node<'a> {
    weight: u64,
    children: BTreeMap<Frame<'a>, usize>,
}

impl<'a> Tree<'a> {
    fn of(stacks: &Stacks<'a>) -> Tree<'a> {
        let mut nodes = vec![Node::default()];
        for (frames, weight) in &stacks.stacks {
            nodes[0].weight += weight;
            let mut index = 0;
            for frame in frames {
                let next = nodes.len();
                index = *nodes[index].children.entry(*frame).or_insert(next);
                if index == next {
                    nodes.push(Node::default());
                }
                nodes[index].weight += weight;
            }
        }
        Tree(nodes)
    }
}

struct Drawing<'a> {
    scale: f64,
    total: u64,
    unit: Unit,
    boxes: Vec<Box<'a>>,
    left_out: usize,
}

struct Box<'a> {
    frame: Frame<'a>,
    start: u64,
    weight: u64,
    depth: usize,
}

impl<'a> Drawing<'a> {
    fn place(&mut self, tree: &Tree<'a>) {
        let all = Frame { name: "all", origin: Origin::Thread };
        let mut open = vec![(all, &tree.0[0], 0, 0)];
        while let Some((frame, node, start, depth)) = open.pop() {
            if node.weight as f64 * self.scale < NARROWEST {
                self.left_out += usize::from(depth > 0);
                continue;
            }
            self.boxes.push(Box { frame, start, weight: node.weight, depth });
            let (mut start, first) = (start, open.len());
            for (frame, &child) in &node.children {
                let child = &tree.0[child];
                open.push((*frame, child, start, depth + 1));
                start += child.weight;
            }
            open[first..].reverse();
        }
    }

    fn amount(&self, weight: u64) -> String {
        match self.unit {
            Unit::Samples if weight == 1 => "1 sample".to_string(),
            Unit::Samples => format!("{weight} samples"),
            Unit::Nanoseconds if weight >= 1_000_000_000 => format!("{:.2} s", weight as f64 / 1e9),
            Unit::Nanoseconds => format!("{:.1} ms", weight as f64 / 1e6),
        }
    }

    fn share(&self, weight: u64) -> f64 {
        100.0 * weight as f64 / self.total.max(1) as f64
    }

    fn summary(&self) -> String {
        let mut text = format!("{} in all", self.amount(self.total));
        if self.left_out > 0 {
            write!(text, "; {} too narrow to be seen are left out", self.left_out)
                .expect(INFALLIBLE);
        }
        text
    }
}

impl Box<'_> {
    fn draw(&self, svg: &mut String, y: f64, drawing: &Drawing<'_>) {
        let x = MARGIN + self.start as f64 * drawing.scale;
        let width = self.weight as f64 * drawing.scale;
        let name = escape(self.frame.name);
        let (share, amount) = (drawing.share(self.weight), drawing.amount(self.weight));
        let origin = match (self.depth, self.frame.origin) {
            (0, _) => "",
            (_, Origin::Thread) => ", a thread",
            (_, Origin::Wasm) => ", WebAssembly",
            (_, Origin::Host) => ", host",
            (_, Origin::Kernel) => ", kernel",
        };
        writeln!(
            svg,
            "<g class=\"f\"><title>{name}\n{share:.2} %, {amount}{origin}</title>\
             <rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" rx=\"1.5\" fill=\"{}\"/>\
             <text x=\"{:.2}\" y=\"{}\">{}</text></g>",
            ROW - 1.0,
            colour(&self.frame),
            x + 3.0,
            y + ROW - 5.0,
            escape(&fitted(self.frame.name, width - 6.0)),
        )
        .expect(INFALLIBLE);
    }
}

fn legend(svg: &mut String) {
    let mut x = MARGIN;
    for (name, origin) in
        [("WebAssembly", Origin::Wasm), ("host", Origin::Host), ("kernel", Origin::Kernel)]
    {
        let fill = colour(&Frame { name, origin });
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" rx=\"1.5\" fill=\"{fill}\"/>\
             <text class=\"s\" x=\"{}\" y=\"39\">{name}</text>",
            x + 14.0,
        )
        .expect(INFALLIBLE);
        x += 34.0 + 7.0 * name.len() as f64;
    }
}

/// A colour of the family of the origin; which of them depends on the name alone.
fn colour(frame: &Frame<'_>) -> String {
    let mut hash = 0x811c_9dc5u32;
    for byte in frame.name.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    let shade = hash >> 8 & 0xf;
    let tint = hash >> 16 & 0xf;
    match frame.origin {
        Origin::Thread => "hsl(0 0% 86%)".to_string(),
        Origin::Wasm => format!("hsl({} 88% {}%)", 16 + 2 * shade, 62 + tint % 10),
        Origin::Host => format!("hsl({} 48% {}%)", 188 + 2 * shade, 72 + tint % 9),
        Origin::Kernel => format!("hsl({} 16% {}%)", 240 + 2 * shade, 74 + tint % 9),
    }
}

/// As much of the text as fits.
fn fitted(text: &str, width: f64) -> String {
    let room = (width / CHARACTER).floor().max(0.0) as usize;
    if text.chars().count() <= room {
        return text.to_string();
    }
    if room < 3 {
        return String::new();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

/// Text that is safe between tags and in attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no way to write other control characters.
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks<'a>(lines: &[(&'a str, u64)]) -> Stacks<'a> {
        let frames = |text: &'a str| {
            text.split(';').map(|name| Frame { name, origin: Origin::Wasm }).collect::<Vec<_>>()
        };
        let stacks = lines.iter().map(|(text, weight)| (frames(text), *weight)).collect();
        Stacks { stacks, unit: Unit::Samples }
    }

    #[test]
    fn shares_are_of_the_whole() {
        let svg = render(&stacks(&[("a", 1), ("a;b", 3)]), "t");
        assert!(svg.contains("<title>a\n100.00 %, 4 samples, WebAssembly</title>"), "{svg}");
        assert!(svg.contains("<title>b\n75.00 %, 3 samples, WebAssembly</title>"), "{svg}");
    }

    #[test]
    fn names_are_escaped() {
        let svg = render(&stacks(&[("<T as \"U\">::f&\u{1}", 1)]), "a < b");
        assert!(svg.contains("&lt;T as &quot;U&quot;&gt;::f&amp;\u{fffd}"), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>"), "{svg}");
    }

    #[test]
    fn a_profile_without_samples_is_a_picture_too() {
        let svg = render(&Stacks::default(), "empty");
        assert!(svg.contains("0 samples in all"), "{svg}");
    }

    #[test]
    fn what_is_too_narrow_is_counted() {
        let svg = render(&stacks(&[("a", 1_000_000), ("b;c", 1)]), "t");
        assert!(svg.contains("; 1 too narrow"), "{svg}");
        assert!(!svg.contains("<title>b\n"), "{svg}");
    }

    #[test]
    fn deep_stacks_do_not_overflow_ours() {
        let deep = vec!["f"; 20_000].join(";");
        let svg = render(&stacks(&[(&deep, 1)]), "t");
        assert_eq!(svg.matches("<title>f\n").count(), 20_000);
    }

    #[test]
    fn colours_depend_on_name_and_origin_alone() {
        let frame = |name, origin| colour(&Frame { name, origin });
        assert_eq!(frame("a", Origin::Wasm), frame("a", Origin::Wasm));
        assert_ne!(frame("a", Origin::Wasm), frame("a", Origin::Host));
    }

    #[test]
    fn text_is_cut_to_fit() {
        assert_eq!(fitted("function", 200.0), "function");
        assert_eq!(fitted("function", 38.0), "func…");
        assert_eq!(fitted("function", 10.0), "");
    }
}
