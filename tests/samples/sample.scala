package acme
import acme.store.{Store, Reader => R}
import acme.util._

object Main extends App {
  val limit = 3
  /** Finds it. */
  def find(key: String): Order = {
    repo.find(key)
  }
}
trait Repo {
  def save(o: Order): Unit
}
case class P(x: Int)
class Q(y: Int) {
  def one: Int = {
    val z = y
    z
  }
}
