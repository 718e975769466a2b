//! Paired ratios and the tables that show them. It knows nothing of engines.

use std::fmt::Write;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Aligned columns, for a terminal.
    Plain,
    /// Markdown.
    Markdown,
}

/// A table with a title and notes below it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// An empty table with a head.
    pub(crate) fn new<const N: usize>(title: &str, head: [&str; N]) -> Table {
        Table {
            title: title.to_string(),
            rows: vec![head.iter().map(ToString::to_string).collect()],
            notes: Vec::new(),
        }
    }

    /// Adds a row, of which there must be as many columns as the head has.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(self.rows[0].len(), N, "a row has the columns of the head");
        self.rows.push(cells.to_vec());
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The table as text.
    pub(crate) fn render(&self, style: Style) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths = (0..columns).map(width).collect::<Vec<_>>();
        let (edge, between) = if style == Style::Markdown { ("| ", " | ") } else { ("", "  ") };
        let mut text = match style {
            Style::Markdown => format!("### {}\n\n", self.title),
            Style::Plain => format!("{}\n", self.title),
        };
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                // The first column holds names, the others figures.
                let width = widths[column];
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            let line = cells.collect::<Vec<_>>().join(between);
            writeln!(text, "{edge}{line}{}", edge.chars().rev().collect::<String>())
                .expect("writing to a string does not fail");
            if index == 0 {
                let rule = widths.iter().enumerate().map(|(column, width)| match (style, column) {
                    (Style::Markdown, 0) => "-".repeat(width + 2),
                    (Style::Markdown, _) => "-".repeat(width + 1) + ":",
                    (Style::Plain, _) => "-".repeat(*width),
                });
                let rule = rule.collect::<Vec<_>>();
                match style {
                    Style::Markdown => text.push_str(&format!("|{}|\n", rule.join("|"))),
                    Style::Plain => text.push_str(&(rule.join("  ") + "\n")),
                }
            }
        }
        if !self.notes.is_empty() {
            text.push('\n');
            for note in &self.notes {
                text.push_str(note);
                text.push('\n');
            }
        }
        text
    }
}

/// The middle one; the mean of the middle two when their number is even.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

/// The geometric mean, as a cell.
pub(crate) fn mean_cell(values: &[f64]) -> String {
    if values.is_empty() { "-".to_string() } else { format!("{:.3}", geometric_mean(values)) }
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// The median of the ratios, pair by pair, with the smallest and largest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    /// The median.
    pub(crate) middle: f64,
    /// The smallest.
    pub(crate) low: f64,
    /// The largest.
    pub(crate) high: f64,
}

impl Ratio {
    /// Divides pair by pair; the pairs are of the same round.
    pub(crate) fn of(above: &[f64], below: &[f64]) -> Ratio {
        assert_eq!(above.len(), below.len(), "figures come in pairs");
        let ratios = above.iter().zip(below).map(|(a, b)| a / b).collect::<Vec<_>>();
        Ratio {
            middle: median(&ratios),
            low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            high: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// The median, as a cell.
    pub(crate) fn cell(self) -> String {
        format!("{:.3}", self.middle)
    }

    /// The range, as a cell.
    pub(crate) fn range(self) -> String {
        format!("{:.3}..{:.3}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn ratios_are_paired() {
        let ratio = Ratio::of(&[2.0, 4.0, 9.0], &[1.0, 4.0, 3.0]);
        assert_eq!((ratio.low, ratio.middle, ratio.high), (1.0, 2.0, 3.0));
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean(&[4.0, 0.25]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_table_in_both_styles() {
        let mut table = Table::new("Sizes", ["name", "MB"]);
        table.row(["a".to_string(), "12".to_string()]);
        table.note("A note.");
        assert_eq!(table.render(Style::Plain), "Sizes\nname  MB\n----  --\na     12\n\nA note.\n");
        assert_eq!(
            table.render(Style::Markdown),
            "### Sizes\n\n| name | MB |\n|------|---:|\n| a    | 12 |\n\nA note.\n"
        );
    }
}
