package com.acme
import com.acme.store.Store
import com.acme.util.*
import a.b.C as D

const val LIMIT = 3
/** Orders. */
data class Orders(val n: Int) : Base() {
    /** Finds it. */
    fun find(key: String): Order {
        return repo.find(key)
    }
    companion object {
        fun build(): Orders = Orders(1)
    }
}
interface Repo {
    fun save(o: Order)
}
fun String.shout(): String {
    val x = this
    return x.uppercase()
}
object Single { val x = 1 }
