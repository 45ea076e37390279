use super::*;
use futures_util::stream;
use std::convert::Infallible;

const LIMITS: BodyLimits = BodyLimits {
    max_bytes: 10,
    idle_timeout: Duration::from_secs(5),
    total_timeout: Duration::from_secs(12),
};

fn chunks(texts: &[&'static str]) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let chunks: Vec<_> = texts
        .iter()
        .map(|text| Ok(Bytes::from_static(text.as_bytes())))
        .collect();
    stream::iter(chunks)
}

#[tokio::test]
async fn one_chunk_is_not_copied_and_several_are_joined() {
    let in_flight = InFlight::new(100);
    let one = Bytes::from_static(b"0123456789");
    let body = stream::iter([Ok::<_, Infallible>(one.clone())]);
    let received = collect_body(body, &LIMITS, &in_flight).await.unwrap();
    assert_eq!(received.bytes.as_ptr(), one.as_ptr());
    assert_eq!(in_flight.used_bytes(), 10);
    drop(received);
    let received = collect_body(chunks(&["ab", "", "cd", "e"]), &LIMITS, &in_flight)
        .await
        .unwrap();
    assert_eq!(received.bytes, "abcde");
    assert_eq!(received.reservation.bytes(), 5);
}

#[tokio::test]
async fn too_large_and_overloaded_give_everything_back() {
    let in_flight = InFlight::new(8);
    let too_large = collect_body(chunks(&["123456", "78901"]), &LIMITS, &in_flight).await;
    assert_eq!(
        too_large.unwrap_err(),
        BodyError::TooLarge { max_bytes: 10 }
    );
    let overloaded = collect_body(chunks(&["123456", "789"]), &LIMITS, &in_flight).await;
    assert_eq!(overloaded.unwrap_err(), BodyError::Overloaded);
    assert_eq!(in_flight.used_bytes(), 0);
}

#[tokio::test]
async fn a_broken_connection_is_reported() {
    let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err("reset by peer")]);
    let error = collect_body(broken, &LIMITS, &InFlight::new(8))
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRequest);
    assert!(error.to_string().contains("reset by peer"));
}

#[tokio::test(start_paused = true)]
async fn silence_and_dripping_time_out() {
    let in_flight = InFlight::new(8);
    let silent = stream::pending::<Result<Bytes, Infallible>>();
    let error = collect_body(silent, &LIMITS, &in_flight).await.unwrap_err();
    assert_eq!(error, BodyError::TimedOut);
    let dripping = Box::pin(stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
    }));
    let error = collect_body(dripping, &LIMITS, &in_flight)
        .await
        .unwrap_err();
    assert_eq!(error, BodyError::TimedOut);
    assert_eq!(in_flight.used_bytes(), 0);
}
