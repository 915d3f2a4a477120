//! What the layer allocates.

use std::task::Waker;

use allocation_counter::measure;

use super::*;

/// Answers at once, and allocates nothing.
#[derive(Clone)]
struct Quiet;

impl Service<Request<()>> for Quiet {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert_eq!(HopIdentity::current().map(|it| it.assurance().as_str()), Some("anonymous"));
        std::future::ready(Ok(Response::new(())))
    }
}

/// A request of nobody that nobody records costs no memory, and its handler knows that there is nobody.
#[test]
fn an_anonymous_request_that_is_not_recorded_allocates_nothing() {
    for layer in [layer(), layer().edge(&["user.id"]), layer().keep_token()] {
        let mut service = layer.layer(Quiet);
        let mut answered = || {
            let call = std::pin::pin!(service.call(Request::new(())));
            assert!(call.poll(&mut TaskContext::from_waker(Waker::noop())).is_ready());
        };
        answered(); // what is made once for all
        assert_eq!(measure(answered).count_total, 0);
    }
}
