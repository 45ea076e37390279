use crate::address::Address;
use crate::transport::Call;
use crate::{Client, ClientError};
use weir_protocol::shapes::GatewayStats;

impl Client {
    /// Tells what goes on at the gateway of the partitioned broker's clients.
    ///
    /// # Errors
    /// [`ClientError`]; a broker whose gateway is closed answers with status 404.
    pub async fn gateway(&self) -> Result<GatewayStats, ClientError> {
        let address = Address::path(&["v1", "gateway"]);
        self.transport.call(Call::get(address)).await
    }
}
