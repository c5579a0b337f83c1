//! How a command ends: its exit code, and the one place that prints an error.

use std::{error::Error, fmt, process};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done, and everything is as it should be.
    Yes,
    /// 1: done, and something is not as it should be, or there was nothing.
    No,
    /// 2: not done. An error says why.
    NotDone,
    /// 141, as of a process that SIGPIPE ends: nobody reads standard output any more.
    ReaderGone,
}

impl From<bool> for ExitCode {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Yes => 0,
            ExitCode::No => 1,
            ExitCode::NotDone => 2,
            ExitCode::ReaderGone => 141,
        })
    }
}

/// Nobody reads standard output any more (`hookgate tail | head`). Ends the command, and is not reported.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output")
    }
}

impl Error for ReaderGone {}

/// The exit code of what a command returned. Prints the error, if it is one, with its causes on one line.
pub fn report(ended: anyhow::Result<ExitCode>) -> ExitCode {
    match ended {
        Ok(code) => code,
        Err(error) if error.is::<ReaderGone>() => ExitCode::ReaderGone,
        Err(error) => {
            anstream::eprintln!("hookgate: {}", with_causes(error.as_ref()));
            ExitCode::NotDone
        }
    }
}

/// An error and its causes in one line. Leaves out a cause that the text before it has already named.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Until everything is anyhow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(pub String);
impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl Error for UsageError {}
impl From<anyhow::Error> for UsageError {
    fn from(error: anyhow::Error) -> Self {
        UsageError(with_causes(error.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_error_names_each_cause_once() {
        let error = anyhow!("connection refused").context("no answer: connection refused").context("cannot list");
        assert_eq!(with_causes(error.as_ref()), "cannot list: no answer: connection refused");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure_whatever_was_being_done() {
        let gone = Err::<ExitCode, _>(ReaderGone).context("while listing");
        assert_eq!(report(gone), ExitCode::ReaderGone);
        assert_eq!(report(Err(anyhow!("x"))), ExitCode::NotDone);
    }
}
