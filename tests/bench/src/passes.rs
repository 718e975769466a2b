//! Runs the probes of both engines in one process, pass by pass: each pass asks each
//! engine each probe once, so that both meet the same weather. The probes are in
//! `calls.rs`, the table in `questions.rs`.

use anyhow::{Context, ensure};

use crate::calls::{Probe, probes};
use crate::child::Which;
use crate::clock::Instant;
use crate::table::median;

/// How long one engine is given for one probe in one pass, in seconds.
const TURN: f64 = 0.004;

/// What was measured for one probe.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// The name of the probe.
    pub(crate) name: String,
    /// CPU nanoseconds a turn for ours and theirs, the median of the passes, less what the
    /// base of the probe took in the same pass.
    pub(crate) net: [f64; 2],
    /// How far the passes were apart before anything was subtracted: the largest over the
    /// smallest, for ours and theirs.
    pub(crate) spread: [f64; 2],
}

impl Figure {
    /// As a line of text.
    pub(crate) fn line(&self) -> String {
        let ([a, b], [c, d]) = (self.net, self.spread);
        format!("{a} {b} {c} {d} {}\n", self.name)
    }

    /// From such a line.
    pub(crate) fn parse(line: &str) -> anyhow::Result<Figure> {
        let fields = line.splitn(5, ' ').collect::<Vec<_>>();
        let [a, b, c, d, name] = fields[..] else {
            anyhow::bail!("{line:?} is not a line of figures")
        };
        let net = [a.parse()?, b.parse()?];
        Ok(Figure { name: name.to_string(), net, spread: [c.parse()?, d.parse()?] })
    }
}

/// A probe of both engines, with how often each does it in a pass.
struct Row {
    probes: [Probe; 2],
    counts: [u32; 2],
    /// Nanoseconds a turn in each pass.
    times: [Vec<f64>; 2],
}

/// Measures the probes whose name contains `filter`; `first` has the first turn in every
/// other pass, and the other one in the rest.
pub(crate) fn measure(first: Which, filter: &str, passes: u32) -> anyhow::Result<Vec<Figure>> {
    let pairs = probes(Which::Ours)?.into_iter().zip(probes(Which::Theirs)?);
    let pairs = pairs.collect::<Vec<_>>();
    let wanted = |name: &str| name.contains(filter);
    let bases: Vec<&str> =
        pairs.iter().filter(|pair| wanted(pair.0.name)).filter_map(|pair| pair.0.base).collect();
    let mut rows = Vec::new();
    for (ours, theirs) in pairs {
        ensure!(ours.name == theirs.name, "the engines have different probes");
        if wanted(ours.name) || bases.contains(&ours.name) {
            let mut probes = [ours, theirs];
            let counts = [calibrate(&mut probes[0])?, calibrate(&mut probes[1])?];
            rows.push(Row { probes, counts, times: [vec![], vec![]] });
        }
    }
    for pass in 0..passes {
        for row in &mut rows {
            for turn in 0..2 {
                let which = (first as usize + pass as usize + turn) % 2;
                let count = row.counts[which];
                let time = time(&mut row.probes[which], count)?;
                row.times[which].push(time * 1e9 / f64::from(count));
            }
        }
    }
    rows.iter().map(|row| figure(row, &rows)).collect()
}

/// Runs one probe of one engine for so many seconds and nothing else, for a profiler to
/// look at; returns nanoseconds a turn.
pub(crate) fn dwell(which: Which, filter: &str, seconds: f64) -> anyhow::Result<(String, f64)> {
    let mut probes = probes(which)?;
    let probe = probes.iter_mut().find(|probe| probe.name.contains(filter));
    let probe = probe.with_context(|| format!("no probe has {filter:?} in its name"))?;
    let count = calibrate(probe)?;
    let (mut turns, mut total) = (0.0, 0.0);
    while total < seconds {
        total += time(probe, count)?;
        turns += f64::from(count);
    }
    Ok((probe.name.to_string(), total * 1e9 / turns))
}

fn figure(row: &Row, rows: &[Row]) -> anyhow::Result<Figure> {
    let base = match row.probes[0].base {
        None => None,
        Some(name) => Some(
            rows.iter()
                .find(|row| row.probes[0].name == name)
                .with_context(|| format!("there is no probe {name:?}"))?,
        ),
    };
    let net = [0, 1].map(|which| {
        let times = row.times[which].iter().enumerate();
        let net = times.map(|(pass, time)| time - base.map_or(0.0, |base| base.times[which][pass]));
        median(&net.collect::<Vec<_>>())
    });
    let spread = [0, 1].map(|which| {
        let times = &row.times[which];
        let high = times.iter().copied().fold(0.0, f64::max);
        high / times.iter().copied().fold(f64::INFINITY, f64::min)
    });
    Ok(Figure { name: row.probes[0].name.to_string(), net, spread })
}

/// How often the probe is done in the time of a turn. What happens only the first time has
/// happened afterwards.
fn calibrate(probe: &mut Probe) -> anyhow::Result<u32> {
    probe.run(1).with_context(|| probe.name)?;
    let mut count = 1_u32;
    loop {
        let time = time(probe, count)?;
        if time > TURN / 4.0 || count > u32::MAX / 8 {
            return Ok((f64::from(count) * TURN / time.max(1e-9)).clamp(1.0, 4e9) as u32);
        }
        count *= 4;
    }
}

fn time(probe: &mut Probe, count: u32) -> anyhow::Result<f64> {
    let before = Instant::now();
    probe.run(count).with_context(|| probe.name)?;
    Ok(before.elapsed().cpu)
}
