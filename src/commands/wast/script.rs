//! Reading scripts, and saying where in them something is.

use anyhow::{Context, Result, anyhow};
use std::fmt;
use std::path::Path;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::Span;
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective, Wat};

/// The text of a script.
pub(super) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("{}: not a script: the byte at offset {at} is not of UTF-8 text", path.display())
    })
}

/// The tokens of a script.
pub(super) fn lex(text: &str) -> Result<ParseBuffer<'_>, wast::Error> {
    // The suite has names that are written from right to left.
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    ParseBuffer::new_with_lexer(lexer)
}

/// The directives of a script.
pub(super) fn parse<'a>(
    buffer: &'a ParseBuffer<'a>,
) -> Result<Vec<WastDirective<'a>>, wast::Error> {
    Ok(parser::parse::<Wast<'_>>(buffer)?.directives)
}

/// The error of a script that could not be parsed, with the place.
pub(super) fn located(error: wast::Error, path: &Path, text: &str) -> anyhow::Error {
    anyhow!("{}: {}", Location::new(path, text, error.span()), error.message())
}

/// Whether a directive is an assertion; the others only prepare for one.
pub(super) fn is_assertion(directive: &WastDirective<'_>) -> bool {
    !matches!(
        directive,
        WastDirective::Module(_)
            | WastDirective::ModuleDefinition(_)
            | WastDirective::ModuleInstance { .. }
            | WastDirective::Register { .. }
            | WastDirective::Invoke(_)
            | WastDirective::Thread(_)
            | WastDirective::Wait { .. }
    )
}

/// Whether it is a component and no module.
pub(super) fn is_component(module: &QuoteWat<'_>) -> bool {
    matches!(module, QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..))
}

/// The binary of a module. One that is quoted is parsed only now.
pub(super) fn binary(mut module: QuoteWat<'_>) -> Result<Vec<u8>, wast::Error> {
    match module.to_test()? {
        QuoteWatTest::Binary(bytes) => Ok(bytes),
        QuoteWatTest::Text(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                wast::Error::new(module.span(), "malformed UTF-8 encoding".to_owned())
            })?;
            parser::parse::<Wat<'_>>(&lex(text)?)?.encode()
        }
    }
}

/// A place in a script, counted from one.
pub(super) struct Location<'a> {
    path: &'a Path,
    line: usize,
    column: usize,
}

impl<'a> Location<'a> {
    pub(super) fn new(path: &'a Path, text: &str, span: Span) -> Self {
        let before = &text.as_bytes()[..span.offset().min(text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        Location { path, line, column }
    }
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_and_in_characters() {
        let at = |text: &str, offset| {
            Location::new(Path::new("f"), text, Span::from_offset(offset)).to_string()
        };
        assert_eq!(at("(module)", 0), "f:1:1");
        assert_eq!(at("(module)\n (x)", 10), "f:2:2");
        assert_eq!(at("\u{e4}\u{e4}(", 4), "f:1:3");
        assert_eq!(at("", 7), "f:1:1");
    }

    #[test]
    fn quoted_modules_are_parsed_late() {
        let text = r#"(assert_malformed (module quote "(func") "x") (module quote "(func)")"#;
        let buffer = lex(text).expect("tokens");
        let mut modules = parse(&buffer).expect("directives").into_iter().map(|it| match it {
            WastDirective::AssertMalformed { module, .. } | WastDirective::Module(module) => module,
            other => panic!("{other:?}"),
        });
        assert!(binary(modules.next().expect("two")).is_err());
        assert!(binary(modules.next().expect("two")).is_ok_and(|it| it.starts_with(b"\0asm")));
    }
}
