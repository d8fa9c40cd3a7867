//! A web service that publishes orders to RabbitMQ: `POST /orders/{customer}`, the body is the
//! order.
//!
//! `web URL EXCHANGE ADDRESS`. What makes it stamped is the stamper's channel.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use lacuna_rabbitmq::{Options, StampedChannel, Stamper};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};

type Shop = (Arc<StampedChannel>, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [url, exchange, address] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "web URL EXCHANGE ADDRESS")?;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let stamper = Stamper::new(Options::default()); // once, for the producer's whole life
    let channel = stamper.channel(connection.create_channel().await?);
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let shop: Shop = (Arc::new(channel), exchange);
    let app = axum::Router::new().route("/orders/{customer}", post(order)).with_state(shop);
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?;
    Ok(())
}

async fn order(
    State((channel, exchange)): State<Shop>,
    Path(customer): Path<String>,
    order: String,
) -> StatusCode {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let published = channel
        .basic_publish(exchange.into(), customer.into(), options, order.as_bytes(), properties)
        .await;
    match async { published?.await }.await {
        Ok(confirmation) if confirmation.is_ack() => StatusCode::ACCEPTED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
