//! Printing: lines, colours, progress, questions.

use std::{
    env,
    fmt::{self, Display},
    io::{ErrorKind, IsTerminal, Write, stderr, stdin, stdout},
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Context;
use time::OffsetDateTime;

use crate::error::ReaderGone;

/// A style of a terminal: `{BAD}` starts it, `{BAD:#}` ends it. Both are empty where there are no colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style(&'static str);

/// For results that are as expected.
pub(crate) const GOOD: Style = Style("\x1b[1;32m");
/// For failures.
pub(crate) const BAD: Style = Style("\x1b[1;31m");
/// For results that need attention.
pub(crate) const MAYBE: Style = Style("\x1b[1;33m");
/// For what a line is about.
pub(crate) const NAME: Style = Style("\x1b[32m");
/// For details.
pub(crate) const DIM: Style = Style("\x1b[2m");
/// For headings.
pub(crate) const BOLD: Style = Style("\x1b[1m");

impl Display for Style {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        // See <https://no-color.org> and <https://bixense.com/clicolors>.
        static COLOURED: LazyLock<bool> = LazyLock::new(|| {
            let said = |name| env::var_os(name).filter(|value| !value.is_empty());
            let (never, asked, forced) = (said("NO_COLOR"), said("CLICOLOR"), said("CLICOLOR_FORCE"));
            let able = is_able(&stdout()) && asked.is_none_or(|asked| asked != "0");
            never.is_none() && (able || forced.is_some_and(|forced| forced != "0"))
        });
        let code = if text.alternate() { "\x1b[0m" } else { self.0 };
        text.write_str(if *COLOURED { code } else { "" })
    }
}

/// Whether this is a terminal that knows more than text.
fn is_able(output: &impl IsTerminal) -> bool {
    output.is_terminal() && env::var_os("TERM").is_some_and(|terminal| terminal != "dumb")
}

/// Prints text to standard output, with a line break unless it ends with one.
pub(crate) fn print(line: impl Display) -> anyhow::Result<()> {
    let text = line.to_string();
    written(writeln!(stdout(), "{}", text.strip_suffix('\n').unwrap_or(&text)))
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

/// A count on standard error, if that is a terminal, until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    latest: Instant,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Progress { latest: Instant::now(), is_shown: false }
    }

    /// Ten times a second at most: a terminal is slow.
    pub(crate) fn show(&mut self, done: u64, of: u64) {
        if self.latest.elapsed() > Duration::from_millis(100) && is_able(&stderr()) {
            (self.latest, self.is_shown) = (Instant::now(), true);
            let _ = write!(stderr(), "\r\x1b[K{done} of {of}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// Asks at the terminal. Without one, the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    let mut answer = String::new();
    if stdin().is_terminal() {
        eprint!("{question} [y/N] ");
        let _ = stdin().read_line(&mut answer);
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
