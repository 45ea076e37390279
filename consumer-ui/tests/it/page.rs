use crate::support::{Broker, Ui};

#[tokio::test]
async fn every_address_of_the_page_answers_html_with_a_strict_policy() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    for target in ["/", "/topics", "/nodes/a%20b"] {
        let answer = ui.get(target).await;
        assert_eq!(answer.status, 200, "{target}");
        for part in [
            "content-type: text/html",
            "content-security-policy: default-src 'self'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.head.contains(part), "{target}: {}", answer.head);
        }
        assert!(!answer.head.contains("unsafe"), "{}", answer.head);
        assert!(!answer.body.contains("style=") && !answer.body.contains("<script>"));
    }
    ui.stop().await.unwrap();
}

#[tokio::test]
async fn health_is_told_like_the_brokers() {
    let broker = Broker::start().await;
    let ui = Ui::following(&broker).await;
    for (target, status) in [("/health", "healthy"), ("/ready", "ready")] {
        assert_eq!(ui.get(target).await.json()["status"], status);
    }
    ui.stop().await.unwrap();
}
