//! Why a message failed, in words that quote nothing of it: they go to the log.

use std::fmt;

use hookgate_event::ReadError;
use lambda_runtime::Error;

use crate::TableError;

pub(crate) enum Failure {
    /// It is not an event.
    Read(ReadError),
    /// Another invocation works on the same event.
    Leased,
    OutOfTime,
    /// The reason, if it is certain to quote nothing.
    Handle(Option<String>),
    Table(TableError),
}

impl Failure {
    /// Any other error of the user's code may quote the payload.
    pub(crate) fn of_handle(error: &Error) -> Self {
        let table = error.downcast_ref::<TableError>().map(ToString::to_string);
        Self::Handle(table.or_else(|| error.downcast_ref::<ReadError>().map(ToString::to_string)))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "not an event: {error}"),
            Self::Leased => f.write_str("leased by another invocation"),
            Self::OutOfTime => f.write_str("no time left: smaller batches, or a longer timeout"),
            Self::Handle(None) => f.write_str("handle failed"),
            Self::Handle(Some(why)) => write!(f, "handle failed: {why}"),
            Self::Table(error) => error.fmt(f),
        }
    }
}
