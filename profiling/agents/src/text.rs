//! Names from modules, made fit for formats that cannot hold every string.
//!
//! A name in a module is any string of any length; profilers expect some text
//! on one line, and C strings that hold no NUL.

use std::borrow::Cow;

/// The most bytes that a name has after [`one_line`].
pub(crate) const NAME_LIMIT: usize = 4096;

/// What a name ends with that was cut.
const CUT: &str = "...";

/// What stands for a name that shows nothing.
const UNNAMED: &str = "<unnamed>";

/// The name on one line: without control characters and line separators, which
/// become `?`, of at most [`NAME_LIMIT`] bytes, and not blank.
pub(crate) fn one_line(name: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if name.trim().is_empty() {
        return Cow::Borrowed(UNNAMED);
    }
    if name.len() <= NAME_LIMIT {
        return match name.contains(breaks) {
            true => Cow::Owned(name.replace(breaks, "?")),
            false => Cow::Borrowed(name),
        };
    }
    let kept = &name[..name.floor_char_boundary(NAME_LIMIT - CUT.len())];
    Cow::Owned(kept.replace(breaks, "?") + CUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_stay() {
        for name in ["f", "core::fmt::write", "naïve λ 日本", " x ", "?", "\u{FFFD}", "a;b"] {
            assert_eq!(one_line(name), name);
        }
        let longest = "x".repeat(NAME_LIMIT);
        assert_eq!(one_line(&longest), longest);
    }

    #[test]
    fn control_characters_and_line_separators_are_replaced() {
        assert_eq!(
            one_line("a\nb\r\nc\0d\u{1b}[31m\u{85}\u{2028}\u{2029}\u{7f}"),
            "a?b??c?d?[31m????"
        );
        assert_eq!(one_line("\0"), "?");
    }

    #[test]
    fn blank_names_get_one() {
        for name in ["", "   ", "\n", "\u{3000}\u{2028}"] {
            assert_eq!(one_line(name), "<unnamed>");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        for name in ["x".repeat(1 << 20), "日".repeat(1 << 20), "\n".repeat(NAME_LIMIT) + "x"] {
            let line = one_line(&name);
            assert!(line.len() <= NAME_LIMIT && line.len() > NAME_LIMIT - CUT.len() - 3);
            assert!(line.ends_with(CUT) && !line.contains('\n'));
        }
    }
}
