//! A web service that writes orders to Kafka: `POST /orders/{customer}`, the body is the order.
//!
//! `web BROKERS TOPIC ADDRESS`. What makes it stamped is the type of the producer.

use std::error::Error;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use lacuna_kafka::StampedFutureProducer; // instead of rdkafka::producer::FutureProducer
use rdkafka::ClientConfig;
use rdkafka::producer::FutureRecord;

type Shop = (StampedFutureProducer, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [brokers, topic, address] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "web BROKERS TOPIC ADDRESS")?;
    let producer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let shop: Shop = (producer, topic);
    let app = axum::Router::new().route("/orders/{customer}", post(order)).with_state(shop);
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?;
    Ok(())
}

async fn order(
    State((producer, topic)): State<Shop>,
    Path(customer): Path<String>,
    order: String,
) -> StatusCode {
    let record = FutureRecord::to(&topic).key(&customer).payload(&order);
    match producer.send(record, Duration::from_secs(1)).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
