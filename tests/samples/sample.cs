using System;
using Json = Newtonsoft.Json.Linq;
namespace Acme.Web
{
    /// <summary>Orders.</summary>
    [ApiController]
    public class Orders : Base
    {
        public int Count { get; set; }

        public Orders(int n)
        {
            Count = n;
        }

        public async Task<int> Find(string key)
        {
            return await repo.Find(key);
        }
    }
    public interface IRepo { void Save(); }
    enum Kind { A, B }
}
