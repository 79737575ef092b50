require "json"
require_relative "lib/store"

module Acme
  LIMIT = 3
  # Keeps orders.
  class Orders < Base
    attr_reader :n

    # Finds one.
    def find(key)
      repo.find(key)
    end

    def self.build
      new
    end
  end
end
