//! The floor: `lambda_http` answering "hello".

use lambda_http::{Body, Error, Request, Response, run, service_fn};
// Only for its feature that leaves the runtime's traces out, as in the functions.
use tracing as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: Request| Ok::<_, Error>(Response::new(Body::from("hello"))))).await
}
