//! What the crate promises, through its public door only: which deliveries are authentic, and what they say.

mod deliveries;
mod post;
mod properties;
mod readings;
