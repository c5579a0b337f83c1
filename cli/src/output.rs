//! What the command prints, and how: lines, colours, progress.

use std::io::{ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::ReaderGone;

/// Of what is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Of what is not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Of what may be.
pub(crate) const MAYBE: Style = AnsiColor::Yellow.on_default().bold();
/// Of names and of what matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Of headings.
pub(crate) const BOLD: Style = Style::new().bold();

/// Prints a text, and a line break unless it ends with one, to standard output. Colours are left out where that is no terminal.
pub(crate) fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    let text = line.to_string();
    written(writeln!(anstream::stdout(), "{}", text.strip_suffix('\n').unwrap_or(&text)))
}

/// Prints JSON for a script, indented.
pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(format_args!("{value:#}"))
}

/// The same for what was written to standard output by other means.
pub(crate) fn written(result: std::io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("cannot print"),
    }
}

/// A platform's text without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Quotes a text for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A progress bar of so many steps on standard error; nothing where that is no terminal. Clear it in the end.
pub(crate) fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style)
}

/// Asks whoever sits at the terminal. No where nobody does.
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
    fn nothing_of_a_platform_commands_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mé\u{9b}\r\n"), r"a\u{1b}[31mé\u{9b}\r\n");
    }
}
