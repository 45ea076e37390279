use super::*;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A request that can be told from others by who waits for its answer.
fn request() -> Request {
    Request::AvailableBytes {
        reply: oneshot::channel().0,
    }
}

/// Sleeps until it is woken, and then counts what it finds.
async fn sleeping(mut receiver: Receiver) -> JoinSet<usize> {
    let mut sleeping = JoinSet::new();
    sleeping.spawn(async move {
        let mut count = usize::from(receiver.recv().await.is_some());
        while receiver.try_recv().is_some() {
            count += 1;
        }
        count
    });
    tokio::task::yield_now().await;
    sleeping
}

#[tokio::test]
async fn what_is_ready_together_is_received_together() {
    let (sender, receiver) = queue(8);
    let sleeping = sleeping(receiver).await;
    let mut senders = JoinSet::new();
    for _ in 0..4 {
        let sender = sender.clone();
        senders.spawn(async move { sender.send(request()).await });
    }
    assert_eq!(senders.join_all().await, [Ok(()); 4]);
    assert_eq!(sleeping.join_all().await, [4]);
}

#[tokio::test]
async fn a_sender_that_goes_away_still_wakes_the_receiver() {
    let (sender, receiver) = queue(8);
    let sleeping = sleeping(receiver).await;
    assert!(sender.send(request()).now_or_never().is_none());
    assert_eq!(sleeping.join_all().await, [1]);
}

#[tokio::test]
async fn a_full_queue_makes_senders_wait() {
    let (sender, mut receiver) = queue(1);
    sender.send(request()).await.unwrap();
    let waits = sender.send(request());
    let mut waits = std::pin::pin!(waits);
    assert!(waits.as_mut().now_or_never().is_none());
    assert!(receiver.try_recv().is_some());
    waits.await.unwrap();
    assert!(receiver.try_recv().is_some());
}

#[tokio::test]
async fn a_closed_queue_is_emptied_and_refuses() {
    let (sender, mut receiver) = queue(8);
    sender.send(request()).await.unwrap();
    receiver.close();
    assert_eq!(sender.send(request()).await, Err(Closed));
    assert!(receiver.recv().await.is_some());
    assert!(receiver.recv().await.is_none());
}
