//! go-plugin's own services. Only Shutdown does something; the two streams stay open and silent until the end.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::proto::plugin::grpc_broker_server::{GrpcBroker, GrpcBrokerServer};
use crate::proto::plugin::grpc_controller_server::{GrpcController, GrpcControllerServer};
use crate::proto::plugin::grpc_stdio_server::{GrpcStdio, GrpcStdioServer};
use crate::proto::plugin::{ConnInfo, Empty, StdioData};

/// The wish to end the process. Unlike Terraform's `Stop`, after which it still expects answers.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn request(&self) {
        self.0.send_replace(true);
    }

    /// Ends once somebody wished for it. Holds no reference to `self`.
    pub(crate) fn requested(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut wish = self.0.subscribe();
        // An error means that all who could wish are gone, which is an end too.
        async move { drop(wish.wait_for(|wished| *wished).await) }
    }

    /// Wishes for it when `event` happens.
    pub(crate) fn when(&self, event: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.clone();
        tokio::spawn(async move {
            event.await;
            shutdown.request();
        });
    }
}

/// All three services.
#[derive(Clone, Debug)]
pub(crate) struct Control(Shutdown);

impl Control {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self(shutdown)
    }

    pub(crate) fn add_to(self, routes: Routes) -> Routes {
        routes
            .add_service(GrpcControllerServer::new(self.clone()))
            .add_service(GrpcStdioServer::new(self.clone()))
            .add_service(GrpcBrokerServer::new(self))
    }

    /// A stream of nothing that ends with the process.
    fn silence<T: Send + 'static>(&self) -> Response<ReceiverStream<Result<T, Status>>> {
        let (sender, silence) = mpsc::channel(1);
        let requested = self.0.requested();
        tokio::spawn(async move {
            requested.await;
            drop(sender);
        });
        Response::new(ReceiverStream::new(silence))
    }
}

#[tonic::async_trait]
impl GrpcController for Control {
    async fn shutdown(self: Arc<Self>, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.0.request();
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl GrpcStdio for Control {
    type StreamStdioStream = ReceiverStream<Result<StdioData, Status>>;

    async fn stream_stdio(self: Arc<Self>, _: Request<Empty>) -> Result<Response<Self::StreamStdioStream>, Status> {
        Ok(self.silence())
    }
}

#[tonic::async_trait]
impl GrpcBroker for Control {
    type StartStreamStream = ReceiverStream<Result<ConnInfo, Status>>;

    async fn start_stream(
        self: Arc<Self>,
        _: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        Ok(self.silence())
    }
}
