//! Printing: lines, colours, progress, questions.

use std::io::{ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use time::OffsetDateTime;

use crate::error::ReaderGone;

/// For results that are as expected.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For failures.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For results that need attention.
pub(crate) const MAYBE: Style = AnsiColor::Yellow.on_default().bold();
/// For details.
pub(crate) const DIM: Style = Style::new().dimmed();
/// For headings.
pub(crate) const BOLD: Style = Style::new().bold();

/// Prints text to standard output, with a line break unless it ends with one; in colour on a terminal only.
pub(crate) fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    let text = line.to_string();
    written(writeln!(anstream::stdout(), "{}", text.strip_suffix('\n').unwrap_or(&text)))
}

/// Prints JSON for a script, indented.
pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(format_args!("{value:#}"))
}

/// Turns the result of a write to standard output into the command's error.
pub(crate) fn written(result: std::io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("cannot print"),
    }
}

/// Foreign text with its control characters escaped: a terminal would obey them.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The time that these Unix milliseconds stand for. None if there is no such year.
pub(crate) fn moment(milliseconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
}

/// A duration in its two largest units.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, 0) => format!("{minutes} min"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Quotes a text for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A progress bar on standard error, if that is a terminal. Clear it in the end.
pub(crate) fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style)
}

/// Asks at the terminal. Without one, the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    let mut answer = String::new();
    if std::io::stdin().is_terminal() {
        anstream::eprint!("{question} [y/N] ");
        let _ = std::io::stdin().read_line(&mut answer);
    }
    matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_725, "1 h 2 min"),
            (90_000, "1 d 1 h"),
            (2_591_999, "29 d 23 h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(plain("a\u{1b}[31mé\u{9b}\r\n"), r"a\u{1b}[31mé\u{9b}\r\n");
    }
}
