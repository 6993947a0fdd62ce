# A server that runs already, at Hetzner or elsewhere: user data comes too late, so it gets a WireGuard configuration.
#
#   terraform apply -var address=2001:db8:1:2::1
#   terraform output -raw wireguard_config | ssh root@2001:db8:1:2::1 'umask 077; cat >/etc/wireguard/hetznat0.conf'
#   ssh root@2001:db8:1:2::1 systemctl enable --now wg-quick@hetznat0

terraform {
  required_version = ">= 1.5"

  required_providers {
    hetznat = {
      source  = "hetznat/hetznat"
      version = "~> 0.1"
    }
  }
}

variable "state" {
  description = "The state document that the translator on the Raspberry Pi reads."
  type        = string
  default     = "/var/lib/hetznat/state.json"
}

variable "address" {
  description = "The server's IPv6 address."
  type        = string
}

provider "hetznat" {
  state = var.state
}

# The Raspberry Pi. With `public_key = "…"` from `hetznat-translator keygen`, its private key never leaves it.
resource "hetznat_gateway" "home" {
  name = "home"
}

resource "hetznat_peer" "existing" {
  gateway  = hetznat_gateway.home.link
  name     = "existing"
  endpoint = var.address
}

output "wireguard_config" {
  description = "For wg-quick on the server. Holds its private key."
  value       = hetznat_peer.existing.wireguard_config
  sensitive   = true
}
