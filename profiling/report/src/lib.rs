//! Recorded stacks, and the pictures made of them: `perf_script` reads what `perf script`
//! prints, `flamegraph` draws an SVG. All of it is text in, text out; running perf and
//! reading and writing files are left to the caller.

#![forbid(unsafe_code)]

pub mod flamegraph;
pub mod perf_script;

/// Where the code of a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The thread itself, named as the kernel knows it.
    Thread,
    /// Compiled WebAssembly.
    Wasm,
    /// The process around it: the engine, its libraries, the embedder.
    Host,
    /// The kernel.
    Kernel,
}

/// A frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame<'a> {
    /// The name of the function.
    pub name: &'a str,
    /// Where its code comes from.
    pub origin: Origin,
}

/// What weights count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Samples, or the periods of an event without a unit.
    #[default]
    Samples,
    /// Nanoseconds.
    Nanoseconds,
}

/// Stacks with their weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks<'a> {
    /// Each stack once, outermost frame first, in the order of the frames.
    pub stacks: Vec<(Vec<Frame<'a>>, u64)>,
    /// What the weights count.
    pub unit: Unit,
}

impl Stacks<'_> {
    /// The sum of the weights.
    pub fn total(&self) -> u64 {
        self.stacks.iter().map(|(_, weight)| weight).sum()
    }

    /// The folded form that many tools read: a line for each stack, its frames joined by
    /// semicolons, then its weight.
    pub fn folded(&self) -> String {
        let mut text = String::new();
        for (frames, weight) in &self.stacks {
            // A semicolon in a name would be taken for a border between frames.
            let names = frames.iter().map(|frame| frame.name.replace(';', ":")).collect::<Vec<_>>();
            text.push_str(&format!("{} {weight}\n", names.join(";")));
        }
        text
    }
}
