//! What the crate promises, through its public door only: which deliveries are authentic, and what they say.

mod deliveries;
mod invented;
mod post;
mod properties;
mod readings;
mod spellings;
mod vectors;
